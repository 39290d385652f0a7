"""The alerts in the admin: what is open, who knows of it, and what of it has not been sent."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from migration_ops.definition import AnyMigration
from migration_ops.models import Alert, AlertMessage, HistoryEntry
from tests.engine.staff import address, filled_in, member
from tests.engine.test_alert_outbox import opened  # noqa: F401  # a fixture

VERB = "alert-acknowledge"


def text(answer: Any) -> str:
    return unescape(answer.content.decode())


def listed(migration: AnyMigration, kind: str = "viewers", language: str = "en") -> Any:
    return member(kind, language).get(reverse("admin:migration_ops_dashboard_alerts", args=[migration.name]))


def acknowledge(migration: AnyMigration, kind: str, number: int, **said: Any) -> Any:
    client = member(kind)
    page = client.post(address(migration, VERB), {"items": [number]})
    return client.post(address(migration, VERB), {**filled_in(page), "items": [number], **said, "confirm": "yes"})


def test_an_open_alert_is_shown_with_the_messages_that_wait(opened: AnyMigration) -> None:  # noqa: F811
    shown = text(listed(opened))
    assert re.search(r"Unacknowledged</h2>\s*<ul", shown)
    assert "mail opened" in shown
    assert "waits" in shown
    assert "acknowledge-" not in shown, "who may only look has no button"
    AlertMessage.objects.filter(channel="mail").update(attempts=3, error="The server did not answer.")
    assert "The server did not answer." in text(listed(opened))


def test_every_heading_begins_with_a_capital_letter(opened: AnyMigration) -> None:  # noqa: F811
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", text(listed(opened)))
    assert headings[-3:] == ["Unacknowledged", "Acknowledged", "Resolved"]


def test_who_acknowledges_is_named_with_the_reason(opened: AnyMigration) -> None:  # noqa: F811
    alert = Alert.objects.get()
    assert f"acknowledge-{alert.pk}" in text(listed(opened, "operators"))
    looked = member("operators").post(address(opened, VERB), {"items": [alert.pk]})
    assert "Would acknowledge this alert." in text(looked)
    assert Alert.objects.get().status == "open"
    assert acknowledge(opened, "operators", alert.pk, reason="on it").status_code == 302
    alert.refresh_from_db()
    assert (alert.status, alert.acknowledged_by) == ("acknowledged", "admin: operators@example.org")
    assert HistoryEntry.objects.filter(verb="acknowledge alert", reason="on it").exists()
    assert "Acknowledged by admin: operators@example.org" in text(listed(opened))


@pytest.mark.parametrize("kind", ["viewers", "nobody"])
def test_acknowledging_needs_its_permission(opened: AnyMigration, kind: str) -> None:  # noqa: F811
    assert acknowledge(opened, kind, Alert.objects.get().pk).status_code == 403
    assert Alert.objects.get().status == "open"
    if kind == "nobody":
        assert listed(opened, kind).status_code == 403


def test_what_is_resolved_meanwhile_is_refused_in_a_sentence(opened: AnyMigration) -> None:  # noqa: F811
    alert = Alert.objects.get()
    client = member("operators")
    page = client.post(address(opened, VERB), {"items": [alert.pk]})
    Alert.objects.update(status="resolved")
    answer = client.post(address(opened, VERB), {**filled_in(page), "items": [alert.pk], "confirm": "yes"})
    assert (answer.status_code, f"has no open alert {alert.pk}" in text(answer)) == (400, True)


def test_the_page_speaks_korean(opened: AnyMigration) -> None:  # noqa: F811
    shown = text(listed(opened, "operators", "ko"))
    assert "확인" in shown
    assert "Acknowledge" not in shown


@pytest.mark.parametrize(("field", "state"), [("sent_at", "보냄"), ("given_up_at", "전송 포기")])
def test_what_became_of_a_message_is_no_moment_in_korean(opened: AnyMigration, field: str, state: str) -> None:  # noqa: F811
    AlertMessage.objects.update(**{field: timezone.now()})
    badges = re.findall(r'class="badge \w+">([^<]+)<', text(listed(opened, "viewers", "ko")))
    assert set(badges) == {state}
