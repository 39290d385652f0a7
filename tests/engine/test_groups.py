"""The three groups, and what django-waffle's flags look like in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from waffle.models import Flag as WaffleFlag

from migration_ops import groups, state
from migration_ops.definition import AnyMigration
from migration_ops.models import Flag
from migration_ops.models.state import VERBS
from tests.engine.syncing import begin_dual_write, go_to_ramp

DAY = "2026-01-01"

ENGINE = apps.get_app_config("migration_ops")


def codenames(name: str) -> set[str]:
    found = Permission.objects.filter(group__name=name, content_type__app_label="migration_ops")
    return set(found.values_list("codename", flat=True))


def test_everybody_may_look_operators_may_operate_and_approvers_may_vouch_as_well(db: None) -> None:
    views = {f"view_{model._meta.model_name}" for model in ENGINE.get_models() if not model._meta.proxy}
    vouching = {"override_migration", "explain_migration"}
    operating = {f"{verb}_migration" for verb in VERBS} - vouching
    assert codenames("migration viewers") == views
    assert codenames("migration operators") == views | operating
    assert codenames("migration approvers") == views | operating | vouching


def test_another_migrate_gives_what_is_missing_and_takes_nothing_away(db: None) -> None:
    group = Group.objects.get(name="migration viewers")
    more = Permission.objects.get(codename="add_group")
    group.permissions.add(more)
    group.permissions.remove(Permission.objects.get(codename="view_run"))
    Group.objects.filter(name="migration operators").delete()
    groups.after_migrate(app_config=ENGINE, using="default")
    assert group.permissions.filter(pk=more.pk).exists()
    assert "view_run" in codenames("migration viewers")
    assert "kill_migration" in codenames("migration operators")


def test_the_permissions_are_there_even_if_the_accounts_hear_of_the_migration_later(db: None) -> None:
    Permission.objects.filter(codename="kill_migration").delete()
    groups.after_migrate(app_config=ENGINE, using="default")
    assert "kill_migration" in codenames("migration operators")


@pytest.fixture
def root(client: Client, notes: AnyMigration) -> Client:
    client.force_login(get_user_model().objects.create_superuser("root@example.org", "secret"))
    begin_dual_write(notes)
    go_to_ramp(notes, percent=5)
    Flag.objects.get_or_create(name=notes.name, defaults={"percent": 5})
    return client


def form(**said: Any) -> dict[str, Any]:
    moments = {
        f"{field}_{part}": value for field in ("created", "modified") for part, value in ((0, DAY), (1, "00:00"))
    }
    blank = {"name": "colours", "everyone": "unknown", "percent": "", "languages": "", "note": "", "users": ""}
    return {**blank, **moments, **said}


def test_the_face_of_a_migration_can_be_looked_at_and_not_edited(root: Client, notes: AnyMigration) -> None:
    face = Flag.objects.get(name=notes.name)
    page = reverse("admin:migration_ops_flag_change", args=[face.pk])
    shown = root.get(page)
    assert (shown.status_code, b'name="_save"' in shown.content) == (200, False)
    assert root.post(page, form(name=notes.name, everyone="true")).status_code == 403
    delete = reverse("admin:migration_ops_flag_delete", args=[face.pk])
    assert root.post(delete, {"post": "yes"}).status_code == 403
    listed = reverse("admin:migration_ops_flag_changelist")
    for action in ("enable_for_all", "disable_for_all", "delete_individually", "delete_selected"):
        root.post(listed, {"action": action, "_selected_action": [face.pk], "post": "yes"})
    face.refresh_from_db()
    assert (face.everyone, state.read(notes).percent) == (None, 5)


def test_a_feature_flag_can_be_made_edited_and_deleted(root: Client) -> None:
    assert root.post(reverse("admin:migration_ops_flag_add"), form(percent="12.5")).status_code == 302
    flag = Flag.objects.get(name="colours")
    assert float(flag.percent) == 12.5
    page = reverse("admin:migration_ops_flag_change", args=[flag.pk])
    assert root.post(page, form(everyone="true")).status_code == 302
    flag.refresh_from_db()
    assert flag.everyone is True
    delete = reverse("admin:migration_ops_flag_delete", args=[flag.pk])
    assert root.post(delete, {"post": "yes"}).status_code == 302
    assert not Flag.objects.filter(name="colours").exists()


def test_a_feature_flag_cannot_take_the_name_of_a_migration(root: Client, notes: AnyMigration) -> None:
    Flag.objects.filter(name=notes.name).delete()
    assert root.post(reverse("admin:migration_ops_flag_add"), form()).status_code == 302
    page = reverse("admin:migration_ops_flag_change", args=[Flag.objects.get(name="colours").pk])
    answer = root.post(page, form(name=notes.name))
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["name"]
    assert Flag.objects.filter(name="colours").exists()


def test_there_is_one_page_of_flags() -> None:
    assert admin.site.is_registered(Flag)
    assert not admin.site.is_registered(WaffleFlag)
