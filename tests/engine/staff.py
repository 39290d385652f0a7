"""People who steer a migration in the admin, one of each kind, and what they do there."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from migration_ops import state
from migration_ops.definition import AnyMigration

KINDS = ("viewers", "operators", "approvers")


def member(kind: str, language: str = "en") -> Client:
    """The browser of a staff member in the group `migration {kind}`, whose address is `{kind}@example.org`."""
    user, _made = get_user_model().objects.get_or_create(email=f"{kind}@example.org", defaults={"is_staff": True})
    if kind in KINDS:
        user.groups.add(Group.objects.get(name=f"migration {kind}"))
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


def room(migration: AnyMigration) -> str:
    return reverse("admin:migration_ops_dashboard_room", args=[migration.name])


def address(migration: AnyMigration, verb: str) -> str:
    return reverse(f"admin:migration_ops_dashboard_{verb}", args=[migration.name])


def press(client: Client, migration: AnyMigration, verb: str, **said: Any) -> Any:
    """The button in the control room: what would happen."""
    return client.post(address(migration, verb), {"version": state.read(migration).version, **said})


def confirm(client: Client, migration: AnyMigration, verb: str, **said: Any) -> Any:
    """The button, and then the one on the page that it leads to, with what that page says in its form."""
    page = press(client, migration, verb, **said)
    return client.post(address(migration, verb), {**filled_in(page), **said, "confirm": "yes"})


def filled_in(page: Any) -> dict[str, str]:
    """What the form of this page holds in hidden fields."""
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.content.decode())
    return {name: value.replace("&quot;", '"') for name, value in hidden if name != "csrfmiddlewaretoken"}


def confirm_rows(client: Client, migration: AnyMigration, verb: str, **said: Any) -> Any:
    """The button below a list of rows, and then the one on the page it leads to."""
    page = client.post(address(migration, verb), said)
    return client.post(address(migration, verb), {**said, **hidden(page), "confirm": "yes"})


def hidden(page: Any) -> dict[str, list[str]]:
    """What the form of this page that confirms holds in hidden fields."""
    (form,) = re.findall(r'<form method="post" class="confirm">.*?</form>', page.content.decode(), flags=re.DOTALL)
    said: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)"(?: value="([^"]*)")?', form):
        if name != "csrfmiddlewaretoken":
            said.setdefault(name, []).append(unescape(value))
    return said


def text(page: Any) -> str:
    """What stands on a page, as it is read."""
    return unescape(page.content.decode())
