"""`manage.py alerts`, for people without the admin; and what is said before anything goes wrong."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.core import mail
from django.core.management import call_command
from django.views.debug import get_default_exception_reporter_filter

from migration_ops import alerts, checks
from migration_ops.alerts.channels import CONSOLE
from migration_ops.definition import AnyMigration
from migration_ops.models import Alert, HistoryEntry
from tests.engine.syncing import begin_dual_write, command
from tests.engine.test_alerts import PROMPT, everybody_alive, waiting

SECRET = "T0000-B0000-XXXXXXXX"


@pytest.fixture
def opened(notes: AnyMigration, settings: Any) -> AnyMigration:
    settings.MIGRATION_OPS = PROMPT
    begin_dual_write(notes)
    everybody_alive(notes)
    waiting(notes)
    alerts.evaluate(notes)
    return notes


def text(*arguments: str) -> str:
    out = io.StringIO()
    call_command("alerts", *arguments, stdout=out)
    return out.getvalue()


def test_it_lists_what_is_open(opened: AnyMigration) -> None:
    code, said = command("alerts")
    assert (code, said["open"]) == (0, 1)
    (item,) = said["items"]
    assert (item["problem"], item["status"], item["severity"], item["unsent"]) == ("dirty_old", "open", "warning", 1)
    assert item["message"].startswith("1 change has waited to be carried over")
    shown = text("list")
    assert "Open alerts that nobody has acknowledged: 1." in shown
    assert "warning" in shown


def test_one_can_be_acknowledged_by_name(opened: AnyMigration) -> None:
    number = str(Alert.objects.get().pk)
    assert command("alerts", "acknowledge", number, "--dry-run")[1]["dry_run"] is True
    assert Alert.objects.get().status == "open"
    code, said = command("alerts", "acknowledge", number, "--actor", "ann", "--reason", "on it")
    assert (code, said["open"], said["items"][0]["acknowledged_by"]) == (0, 0, "ann")
    assert HistoryEntry.objects.get(verb="acknowledge alert").actor == "ann"
    assert "ann has acknowledged alert" in text("acknowledge", number)
    assert command("alerts", "acknowledge", "0")[0] == 2


@pytest.mark.parametrize(
    "arguments", [("acknowledge",), ("list", "7"), ("test", "7"), ("acknowledge", "7", "--all"), ("test", "--all")]
)
def test_what_makes_no_sense_is_refused(notes: AnyMigration, arguments: tuple[str, ...]) -> None:
    assert command("alerts", *arguments)[0] == 2


def test_a_test_message_goes_through_every_channel_and_says_what_happened(notes: AnyMigration, settings: Any) -> None:
    settings.ALERT_EMAILS = ["ops@example.org", "night@example.org"]
    settings.SLACK_WEBHOOK_URL = f"https://localhost/{SECRET}"
    settings.SLACK_WEBHOOK_HOSTS = ["localhost"]
    code, said = command("alerts", "test", "--dry-run")
    assert (code, len(mail.outbox), [line["sent"] for line in said["channels"]]) == (0, 0, [False] * 3)
    code, said = command("alerts", "test")
    assert code == 1
    assert said["channels"] == [
        {"channel": "log", "sent": True, "message": ""},
        {"channel": "mail", "sent": True, "message": ""},
        {"channel": "webhook", "sent": False, "message": "the webhook's host has an address that is not public"},
    ]
    (sent,) = mail.outbox
    assert (sent.to, sent.from_email) == (settings.ALERT_EMAILS, settings.DEFAULT_FROM_EMAIL)
    assert "Nothing is wrong." in sent.body


def test_a_channel_that_breaks_is_said_so_and_keeps_no_other(notes: AnyMigration, settings: Any) -> None:
    settings.EMAIL_BACKEND = "no.such.Backend"
    settings.ALERT_EMAILS = ["ops@example.org"]
    code, said = command("alerts", "test")
    assert (code, [line["message"] for line in said["channels"]]) == (
        1,
        ["", "the channel broke (ModuleNotFoundError)"],
    )


def test_a_mail_that_is_printed_does_not_spoil_the_json(
    notes: AnyMigration, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = CONSOLE
    settings.ALERT_EMAILS = ["ops@example.org"]
    call_command("alerts", "test", "--json")
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert "Nothing is wrong." in printed.err


def ids(settings: Any, **said: Any) -> list[str | None]:
    for name, value in said.items():
        setattr(settings, name, value)
    found = checks.check_alerts(None)
    assert SECRET not in str(found)
    return [message.id for message in found]


def test_bad_settings_are_said_by_day(settings: Any) -> None:
    assert ids(settings) == []
    assert ids(settings, SLACK_WEBHOOK_URL=f"https://hooks.slack.com/{SECRET}") == []
    assert ids(settings, SLACK_WEBHOOK_URL=f"http://hooks.slack.com/{SECRET}") == ["migration_ops.E007"]
    assert ids(settings, SLACK_WEBHOOK_URL=f"https://chat.example.org/{SECRET}") == ["migration_ops.E007"]
    assert ids(settings, SLACK_WEBHOOK_HOSTS=["chat.example.org"]) == []
    assert ids(settings, ALERT_EMAILS=["ops@example.org", "nobody"]) == ["migration_ops.E008"]
    assert ids(settings, ALERT_EMAILS=["ops@example.org"], EMAIL_BACKEND=CONSOLE) == ["migration_ops.W005"]


def test_operators_may_acknowledge_and_viewers_may_not(db: None) -> None:
    groups = Permission.objects.get(codename="acknowledge_migration").group_set
    assert set(groups.values_list("name", flat=True)) == {"migration operators", "migration approvers"}


def test_the_page_of_an_error_does_not_show_the_address(settings: Any) -> None:
    settings.SLACK_WEBHOOK_URL = f"https://hooks.slack.com/{SECRET}"
    shown = get_default_exception_reporter_filter().get_safe_settings()
    assert shown["SLACK_WEBHOOK_URL"] != django_settings.SLACK_WEBHOOK_URL
    assert SECRET not in str(shown)
