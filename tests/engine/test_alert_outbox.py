"""How messages leave the outbox: each once, in order, later if not now, and never at the cost of anything else."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils.timezone import now

from migration_ops import alerts
from migration_ops.alerts import channels
from migration_ops.alerts.payload import Payload
from migration_ops.alerts.problems import Channel
from migration_ops.alerts.undelivered import Undelivered
from migration_ops.definition import AnyMigration
from migration_ops.models import Alert, AlertMessage, DirtyKey
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.rollout import control
from tests.engine.syncing import begin_dual_write, run, second_connection
from tests.engine.test_alerts import PROMPT, everybody_alive, waiting
from tests.engine.waiting import InThread, eventually

SECRET = "T0000-B0000-XXXXXXXX"


class Taking:
    """A channel that takes everything, and waits before it does if told to."""

    def __init__(self, wait: threading.Event | None = None) -> None:
        self.taken: list[str] = []
        self.asked = threading.Event()
        self._wait = wait

    def send(self, message: Payload) -> None:
        self.asked.set()
        if self._wait is not None:
            assert self._wait.wait(20)
        self.taken.append(message.event)


class Refusing:
    """A channel that takes nothing."""

    def __init__(self, error: Exception) -> None:
        self.asked = 0
        self._error = error

    def send(self, message: Payload) -> None:
        self.asked += 1
        raise self._error


@pytest.fixture
def opened(notes: AnyMigration, settings: Any) -> AnyMigration:
    """One alert was opened, for log and mail; nothing is sent yet."""
    settings.MIGRATION_OPS = PROMPT
    settings.ALERT_EMAILS = ["ops@example.org"]
    begin_dual_write(notes)
    everybody_alive(notes)
    waiting(notes)
    alerts.evaluate(notes)
    return notes


def resolve(migration: AnyMigration) -> None:
    DirtyKey.objects.all().delete()
    alerts.evaluate(migration)


def due() -> None:
    AlertMessage.objects.filter(sent_at=None).update(not_before=Now())


def test_a_message_is_sent_through_every_channel_once(opened: AnyMigration, caplog: pytest.LogCaptureFixture) -> None:
    mailed = Taking()
    with caplog.at_level(logging.WARNING):
        done = alerts.deliver({**channels.configured(), Channel.MAIL: mailed})
    assert (done.sent, done.failed, mailed.taken) == (2, 0, ["opened"])
    (line,) = [record.getMessage() for record in caplog.records if record.name == "migration_ops.alerts"]
    assert line.startswith("[notes] Problem (warning, alert ")
    assert "1 change has waited to be carried over" in line
    assert alerts.deliver({Channel.LOG: Taking(), Channel.MAIL: mailed}).sent == 0


def test_two_senders_send_once(opened: AnyMigration) -> None:
    go_on = threading.Event()
    slow, other = Taking(go_on), Taking()
    first = InThread(lambda: alerts.deliver({Channel.MAIL: slow}))
    assert slow.asked.wait(20)
    assert alerts.deliver({Channel.MAIL: other}).sent == 0, "somebody is at it"
    go_on.set()
    assert first.outcome().sent == 1
    assert (slow.taken, other.taken) == (["opened"], [])


def test_who_comes_while_another_is_claiming_does_not_wait_for_it(opened: AnyMigration) -> None:
    mailed = Taking()
    with second_connection() as other:
        other.execute("SELECT 1 FROM migration_ops_alertmessage WHERE channel = 'mail' FOR UPDATE")
        assert InThread(lambda: alerts.deliver({Channel.MAIL: mailed})).outcome().sent == 0
        other.rollback()
    assert alerts.deliver({Channel.MAIL: mailed}).sent == 1


def test_a_message_whose_sender_died_is_sent_again_when_its_claim_is_over(
    notes: AnyMigration, settings: Any, start_notes_command: Callable[..., Any]
) -> None:
    """At least once: the sender had sent it and died before it could write that down."""
    begin_dual_write(notes)
    heartbeat.beat(notes, Role.APPLIER)
    waiting(notes)
    sender = start_notes_command("rollout", "evaluate", "--follow", failpoint="alerts.sent")
    _out, said = sender.communicate(timeout=60)
    assert sender.returncode == -signal.SIGKILL
    assert said.count("change has waited to be carried over") == 1, "it was sent"
    message = AlertMessage.objects.get()
    assert (message.sent_at, message.attempts) == (None, 1)
    again = Taking()
    assert alerts.deliver({Channel.LOG: again}).sent == 0, "its claim is not over yet"
    AlertMessage.objects.update(claimed_until=Now())
    assert alerts.deliver({Channel.LOG: again}).sent == 1
    assert again.taken == ["opened"]
    assert alerts.deliver({Channel.LOG: again}).sent == 0


def test_a_sender_that_comes_to_itself_too_late_changes_nothing(opened: AnyMigration) -> None:
    go_on = threading.Event()
    late, again = Taking(go_on), Refusing(Undelivered("the mail server did not answer in time"))
    first = InThread(lambda: alerts.deliver({Channel.MAIL: late}))
    assert late.asked.wait(20)
    AlertMessage.objects.filter(channel="mail").update(claimed_until=Now())
    assert alerts.deliver({Channel.MAIL: again}).failed == 1
    go_on.set()
    first.outcome()
    message = AlertMessage.objects.get(channel="mail")
    assert (message.sent_at, message.attempts, message.error) == (None, 2, "the mail server did not answer in time")


def test_it_is_tried_again_after_growing_delays(opened: AnyMigration) -> None:
    delays = []
    for _ in range(9):
        due()
        assert alerts.deliver({Channel.MAIL: Refusing(Undelivered("no"))}).failed == 1
        message = AlertMessage.objects.get(channel="mail")
        delays.append((message.not_before - now()).total_seconds())
        assert alerts.deliver({Channel.MAIL: Refusing(Undelivered("no"))}).failed == 0, "not yet"
    for attempt, delay in enumerate(delays):
        full = min(3600, 30 * 2**attempt)
        assert full / 2 - 5 <= delay <= full
    due()
    assert alerts.deliver({Channel.MAIL: Taking()}).sent == 1


def test_what_could_not_be_sent_for_a_day_is_given_up(opened: AnyMigration) -> None:
    alerts.deliver({Channel.MAIL: Refusing(Undelivered("no"))})
    AlertMessage.objects.update(created_at=Now() - timedelta(hours=24))
    due()
    mailed = Taking()
    alerts.deliver({Channel.MAIL: mailed})
    assert mailed.taken == []
    assert AlertMessage.objects.get(channel="mail").given_up_at is not None
    alerts.evaluate(opened)
    assert Alert.objects.get(problem="outbox_fails", status="open").subject == "mail"


def test_a_channel_that_fails_costs_its_patience_once_and_no_other_anything(opened: AnyMigration) -> None:
    resolve(opened)
    waiting(opened)
    alerts.evaluate(opened)
    refusing, logged = Refusing(Undelivered("no")), Taking()
    done = alerts.deliver({Channel.MAIL: refusing, Channel.LOG: logged})
    assert (refusing.asked, done.failed) == (1, 1)
    assert logged.taken == ["opened", "resolved", "opened"]


def test_nobody_hears_of_the_end_before_the_beginning(opened: AnyMigration) -> None:
    alerts.deliver({Channel.MAIL: Refusing(Undelivered("no"))})
    resolve(opened)
    mailed = Taking()
    assert alerts.deliver({Channel.MAIL: mailed}).sent == 0, "the first message backs off, the second waits for it"
    due()
    alerts.deliver({Channel.MAIL: mailed})
    assert mailed.taken == ["opened", "resolved"]


def test_a_channel_that_breaks_shows_nothing_of_what_it_knows(
    opened: AnyMigration, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = Refusing(RuntimeError(f"https://hooks.slack.com/services/{SECRET}"))
    assert alerts.deliver({Channel.MAIL: broken}).failed == 1
    assert AlertMessage.objects.get(channel="mail").error == "the channel broke (RuntimeError)"
    assert SECRET not in caplog.text


def test_a_channel_that_is_not_configured_any_more_waits_and_troubles_nobody(opened: AnyMigration) -> None:
    assert alerts.deliver({Channel.LOG: Taking()}).failed == 0
    message = AlertMessage.objects.get(channel="mail")
    assert (message.attempts, message.given_up_at) == (0, None)


def test_an_alert_that_cannot_be_sent_fails_no_step(opened: AnyMigration, settings: Any) -> None:
    settings.SLACK_WEBHOOK_URL = f"https://localhost/{SECRET}"
    settings.SLACK_WEBHOOK_HOSTS = ["localhost"]
    settings.EMAIL_BACKEND = "no.such.Backend"
    resolve(opened)
    waiting(opened)
    alerts.make_round([opened])
    failed = dict(AlertMessage.objects.exclude(error="").values_list("channel", "error"))
    assert failed == {
        "mail": "the channel broke (ModuleNotFoundError)",
        "webhook": "the webhook's host has an address that is not public",
    }
    assert control.hold(opened, actor="ann").after.hold
    assert control.kill(opened, actor="ann").after.kill


def test_a_round_outlives_a_database_that_does_not_let_it_write(opened: AnyMigration) -> None:
    with second_connection() as other:
        other.execute("LOCK TABLE migration_ops_alert IN ACCESS EXCLUSIVE MODE")

        def hurried() -> None:
            run("SET lock_timeout = '50ms'")
            alerts.make_round([opened])

        InThread(hurried).outcome()
        other.rollback()
    assert alerts.deliver({Channel.LOG: Taking(), Channel.MAIL: Taking()}).sent == 2


def test_where_the_scheduler_is_silent_the_evaluator_stands_in(opened: AnyMigration) -> None:
    deputy = alerts.Rounds()
    deputy.stand_in(opened)
    deputy.wait()
    assert not AlertMessage.objects.exclude(sent_at=None).exists(), "the scheduler is there, and does it"
    Alert.objects.all().delete()
    heartbeat_of = "UPDATE migration_ops_heartbeat SET at = at - interval '31 seconds' WHERE role = 'scheduler'"
    with second_connection() as other:
        other.execute(heartbeat_of)  # type: ignore[arg-type]
        other.commit()
    deputy.stand_in(opened)
    deputy.wait()
    assert set(Alert.objects.values_list("problem", "subject")) == {("dirty_old", ""), ("silent", "scheduler")}


def test_a_scheduler_makes_a_round_when_it_is_due_and_needs_no_redis_for_it(
    opened: AnyMigration, settings: Any
) -> None:
    rounds = alerts.Rounds()
    rounds.make_if_due()
    rounds.wait()
    assert AlertMessage.objects.filter(sent_at=None).count() == 0
    resolve(opened)
    rounds.make_if_due()
    rounds.wait()
    assert AlertMessage.objects.filter(sent_at=None).count() == 2, "it is not due again yet"


def test_the_scheduler_sends_what_the_outbox_holds(
    opened: AnyMigration, start_notes_command: Callable[..., Any]
) -> None:
    AlertMessage.objects.filter(channel="mail").delete()
    scheduler = start_notes_command("scheduler", REDIS_URL="redis://127.0.0.1:1/0")
    eventually(lambda: not AlertMessage.objects.filter(sent_at=None).exists())
    scheduler.terminate()
    _out, said = scheduler.communicate(timeout=60)
    assert said.count("change has waited to be carried over") == 1


def test_whoever_stands_in_waits_for_no_server(opened: AnyMigration) -> None:
    deputy = alerts.Rounds()
    with second_connection() as other:
        other.execute("DELETE FROM migration_ops_heartbeat WHERE role = 'scheduler'")
        other.commit()
        other.execute("LOCK TABLE migration_ops_alert IN ACCESS EXCLUSIVE MODE")
        deputy.stand_in(opened)
        deputy.stand_in(opened)
        stuck = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%ops_alert%'"
        eventually(lambda: _number(stuck) == 1)
        other.rollback()
    deputy.wait()


def _number(sql: str) -> int:
    with second_connection() as looking:
        found = looking.execute(sql).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return int(found[0])
