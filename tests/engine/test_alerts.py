"""One alert a problem: opened, repeated seldom, resolved by itself, acknowledged by somebody; and no name in any."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db.models.functions import Now
from django.utils.timezone import now

from migration_ops import alerts, history, state
from migration_ops.alerts import payload
from migration_ops.alerts.payload import Payload
from migration_ops.alerts.problems import Found, Problem
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import (
    Alert,
    AlertMessage,
    AlertStatus,
    Difference,
    DirtyKey,
    GateReading,
    Heartbeat,
    HistoryEntry,
    Metric,
    ReadDifference,
    Run,
    RunRange,
)
from migration_ops.observe import heartbeat, metrics
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.measures import What
from migration_ops.observe.metrics import Measured
from migration_ops.rollout import control, evaluator
from migration_ops.sync import capture
from migration_ops.sync.draft import Outcome
from tests.engine.korean import assert_korean
from tests.engine.syncing import begin_dual_write, run, second_connection
from tests.engine.waiting import InThread, eventually
from tests.notes import schema

INSTANT = timedelta(microseconds=1)
PROMPT = {"ALERT_PATIENCE": INSTANT, "ALERT_RESOLVE_AFTER": INSTANT}


@pytest.fixture
def synced(notes: AnyMigration, settings: Any) -> AnyMigration:
    """Stage `dual_write`, everybody alive, and whatever is found is told at once."""
    settings.MIGRATION_OPS = PROMPT
    begin_dual_write(notes)
    everybody_alive(notes)
    return notes


def everybody_alive(migration: AnyMigration) -> None:
    for role in (Role.APPLIER, Role.EVALUATOR, Role.SCHEDULER):
        heartbeat.beat(migration, role)


def told(migration: AnyMigration) -> set[tuple[str, str]]:
    """What is open now, as problem and subject, after one more look."""
    alerts.evaluate(migration)
    return {(alert.problem, alert.subject) for alert in Alert.objects.filter(status=AlertStatus.OPEN)}


def events() -> list[str]:
    return list(AlertMessage.objects.order_by("id").values_list("event", flat=True))


def a_run(status: str = "running", **fields: Any) -> Run:
    return Run.objects.create(migration="notes", kind="backfill", status=status, started_at=now(), **fields)


def differing(migration: AnyMigration) -> None:
    found = a_run("succeeded")
    Difference.objects.create(migration=migration.name, run=found, key="k", kind="mismatched", found_at=now())


def stranded(migration: AnyMigration) -> None:
    left = a_run()
    past = now() - timedelta(minutes=5)
    Run.objects.update(started_at=past)
    RunRange.objects.create(run=left, number=0, side="legacy", lease_until=past)


def unwatched(migration: AnyMigration) -> None:
    run("ALTER TABLE legacy_notes DISABLE TRIGGER USER")


def watched(migration: AnyMigration) -> None:
    capture.install(migration)


def waiting(migration: AnyMigration) -> None:
    long_ago = now() - timedelta(minutes=6)
    DirtyKey.objects.create(migration=migration.name, side="legacy", row="1", created_at=long_ago)


def failing_writes(migration: AnyMigration) -> None:
    for _ in range(5):
        metrics.add(migration, Measured(What.WRITE, "legacy", Outcome.FAILED, "55P03"), seconds=0.1)
    assert metrics.flush()


def failing_gate(migration: AnyMigration, verdict: str = "fail") -> None:
    evidence = {"value": 0.5, "n": 10, "k": 5, "threshold": 0.05, "message": "quotes a document", "bound": None}
    GateReading.objects.create(migration=migration.name, step=1, gate="sync_lag", verdict=verdict, evidence=evidence)


def unsent(migration: AnyMigration) -> None:
    alert = Alert.objects.create(
        migration=migration.name, problem="dirty_old", severity="warning", status=AlertStatus.RESOLVED
    )
    AlertMessage.objects.create(alert=alert, channel="webhook", event="opened", payload={}, attempts=3)


Does = Callable[[AnyMigration], object]

PROBLEMS: dict[str, tuple[tuple[str, str], Does, Does]] = {
    "differences": (("differences", ""), differing, lambda _: Difference.objects.update(status="repaired")),
    "a failed run": (
        ("run_failed", "RUN"),
        lambda _: a_run("failed"),
        lambda _: Run.objects.update(status="succeeded"),
    ),
    "a run that paused by itself": (
        ("run_failed", "RUN"),
        lambda _: a_run("paused", error="disk full"),
        lambda _: Run.objects.update(status="succeeded"),
    ),
    "a stranded run": (
        ("run_stranded", "RUN"),
        stranded,
        lambda _: RunRange.objects.update(lease_until=now() + timedelta(minutes=1)),
    ),
    "a silent applier": (
        ("silent", "applier"),
        lambda _: Heartbeat.objects.filter(role="applier").update(at=Now() - timedelta(seconds=16)),
        everybody_alive,
    ),
    "a scheduler nobody heard of": (
        ("silent", "scheduler"),
        lambda _: Heartbeat.objects.filter(role="scheduler").delete(),
        everybody_alive,
    ),
    "capture with gaps": (("capture_gaps", "legacy"), unwatched, watched),
    "lost captures": (
        ("capture_lost", ""),
        lambda _: run(f"SELECT nextval('{capture.LOST}')"),
        lambda migration: capture.confirm_whole(migration, capture.lost_total()),
    ),
    "a dirty list that grows old": (("dirty_old", ""), waiting, lambda _: DirtyKey.objects.all().delete()),
    "failing second writes": (("second_writes_fail", ""), failing_writes, lambda _: Metric.objects.all().delete()),
    "a failing gate": (("gate_fails", "sync_lag"), failing_gate, lambda migration: failing_gate(migration, "pass")),
    "an automatic rollback": (
        ("rolled_back", "ENTRY"),
        lambda migration: history.append(migration, actor=evaluator.ACTOR, verb=control.AUTOMATIC),
        lambda migration: history.append(migration, actor="ann", verb="resume"),
    ),
    "an outbox that does not empty": (
        ("outbox_fails", "webhook"),
        unsent,
        lambda _: AlertMessage.objects.update(sent_at=now()),
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_problem_opens_an_alert_and_its_end_resolves_it(synced: AnyMigration, name: str) -> None:
    (problem, subject), cause, mend = PROBLEMS[name]
    assert told(synced) == set()
    cause(synced)
    numbers = {"RUN": Run.objects.order_by("-id"), "ENTRY": HistoryEntry.objects.order_by("-id")}
    wanted = str(numbers[subject].values_list("pk", flat=True)[0]) if subject in numbers else subject
    assert told(synced) == {(problem, wanted)}
    (item,) = alerts.listing(synced)
    assert_korean(item.message)
    mend(synced)
    assert told(synced) == set()
    assert Alert.objects.get(pk=item.id).status == AlertStatus.RESOLVED
    assert [message.event for message in AlertMessage.objects.filter(alert=item.id).order_by("id")] == [
        "opened",
        "resolved",
    ]


def test_a_run_in_the_background_is_not_stranded_between_two_slices(synced: AnyMigration) -> None:
    stranded(synced)
    Run.objects.update(beat_at=now() + timedelta(seconds=5))
    assert told(synced) == set()
    Run.objects.update(beat_at=now() - timedelta(seconds=5))
    assert {problem for problem, _ in told(synced)} == {"run_stranded"}


def test_every_problem_there_is_has_a_story_above() -> None:
    assert {problem for (problem, _), _, _ in PROBLEMS.values()} == set(Problem) - {Problem.TEST}


def test_a_problem_that_is_found_again_and_again_is_told_once(synced: AnyMigration) -> None:
    waiting(synced)
    for _ in range(5):
        waiting(synced)
        alerts.evaluate(synced)
    alert = Alert.objects.get()
    assert (events(), alert.figures["count"]) == (["opened"], 6), "told once, with the figures of the last look"
    differing(synced)
    alerts.evaluate(synced)
    assert Alert.objects.get(problem="differences").pk == alert.pk + 1, "people type these numbers"


def test_one_that_comes_back_is_another_alert(synced: AnyMigration) -> None:
    waiting(synced)
    alerts.evaluate(synced)
    DirtyKey.objects.all().delete()
    alerts.evaluate(synced)
    waiting(synced)
    alerts.evaluate(synced)
    assert events() == ["opened", "resolved", "opened"]
    assert Alert.objects.count() == 2


def test_it_is_repeated_at_growing_intervals_and_never_more_seldom_than_said(synced: AnyMigration) -> None:
    waiting(synced)
    alerts.evaluate(synced)
    hours = [_hours_to_repeat()]
    for _ in range(6):
        Alert.objects.update(repeat_at=Now())
        alerts.evaluate(synced)
        hours.append(_hours_to_repeat())
        alerts.evaluate(synced)
    assert hours == pytest.approx([1, 2, 4, 8, 16, 24, 24], abs=0.1)
    assert events() == ["opened", *["repeated"] * 6]


def _hours_to_repeat() -> float:
    at = Alert.objects.get().repeat_at
    assert at is not None
    return (at - now()).total_seconds() / 3600


def test_what_a_deploy_shows_for_a_moment_is_forgotten(synced: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"ALERT_RESOLVE_AFTER": INSTANT}
    Heartbeat.objects.filter(role="applier").delete()
    assert told(synced) == set()
    assert Alert.objects.get().status == AlertStatus.SUSPECTED
    everybody_alive(synced)
    assert told(synced) == set()
    assert (Alert.objects.count(), events()) == (0, [])
    Heartbeat.objects.filter(role="applier").delete()
    alerts.evaluate(synced)
    Alert.objects.update(since=Now() - timedelta(minutes=2))
    assert told(synced) == {("silent", "applier")}


def test_a_problem_that_blinks_is_not_resolved_in_between(synced: AnyMigration, settings: Any) -> None:
    waiting(synced)
    alerts.evaluate(synced)
    settings.MIGRATION_OPS = {}
    DirtyKey.objects.all().delete()
    alerts.evaluate(synced)
    waiting(synced)
    alerts.evaluate(synced)
    assert events() == ["opened"]
    DirtyKey.objects.all().delete()
    Alert.objects.update(seen_at=Now() - timedelta(minutes=2))
    assert alerts.evaluate(synced).resolved == (Alert.objects.get().pk,)


def test_before_the_stores_are_kept_in_step_nobody_is_missed(notes: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = PROMPT
    assert told(notes) == set()


def test_a_gate_that_waits_for_work_is_no_problem(synced: AnyMigration) -> None:
    for gate in ("validation_clean", "quarantine_decided", "backfill_complete"):
        GateReading.objects.create(migration=synced.name, step=1, gate=gate, verdict="fail")
    GateReading.objects.create(migration=synced.name, step=0, gate="sync_lag", verdict="fail")
    assert told(synced) == set(), "nor is a failure at another step"


def test_a_source_that_cannot_look_keeps_no_other_from_it_and_resolves_nothing(synced: AnyMigration) -> None:
    a_run("failed")
    assert {problem for problem, _ in told(synced)} == {"run_failed"}
    run("ALTER TABLE migration_ops_runrange RENAME TO away")
    try:
        waiting(synced)
        assert {problem for problem, _ in told(synced)} == {"run_failed", "dirty_old"}
    finally:
        run("ALTER TABLE away RENAME TO migration_ops_runrange")
    Run.objects.update(status="succeeded")
    assert {problem for problem, _ in told(synced)} == {"dirty_old"}


def test_two_who_see_the_same_problem_at_once_tell_it_once(synced: AnyMigration) -> None:
    waiting(synced)
    with second_connection() as other:
        other.execute("LOCK TABLE migration_ops_alert IN SHARE ROW EXCLUSIVE MODE")
        both = [InThread(lambda: alerts.evaluate(synced)) for _ in range(2)]
        stuck = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%_alert AS known%'"
        )
        eventually(lambda: _number(stuck) == 2)
        other.rollback()
    found = [one.outcome() for one in both]
    assert sorted(len(one.opened) for one in found) == [0, 1]
    assert events() == ["opened"]


def test_two_who_repeat_or_resolve_it_at_once_do_so_once(synced: AnyMigration) -> None:
    waiting(synced)
    alerts.evaluate(synced)
    Alert.objects.update(repeat_at=Now())
    for wanted in ("repeated", "resolved"):
        with second_connection() as other:
            other.execute("SELECT 1 FROM migration_ops_alert FOR UPDATE")
            both = [InThread(lambda: alerts.evaluate(synced)) for _ in range(2)]
            stuck = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%_alert%'"
            eventually(lambda stuck=stuck: _number(stuck) == 2)
            other.rollback()
        found = [one.outcome() for one in both]
        assert sorted(len(getattr(one, wanted)) for one in found) == [0, 1]
        DirtyKey.objects.all().delete()
    assert events() == ["opened", "repeated", "resolved"]


def _number(sql: str) -> int:
    with second_connection() as looking:
        found = looking.execute(sql).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return int(found[0])


def test_who_acknowledges_is_in_the_history_and_hears_no_more_of_it(synced: AnyMigration) -> None:
    waiting(synced)
    alerts.evaluate(synced)
    alert = Alert.objects.get()
    assert alerts.acknowledge(synced, alert.pk, actor="ann", dry_run=True).changed
    assert not HistoryEntry.objects.filter(verb="acknowledge alert").exists()
    done = alerts.acknowledge(synced, alert.pk, actor="ann", reason="on it")
    assert (done.changed, done.alert.status, done.alert.acknowledged_by) == (True, "acknowledged", "ann")
    again = alerts.acknowledge(synced, alert.pk, actor="ben")
    assert (again.changed, again.alert.acknowledged_by) == (False, "ann")
    entry = HistoryEntry.objects.get(verb="acknowledge alert")
    assert (entry.actor, entry.reason) == ("ann", "on it")
    assert entry.evidence == {"alert": alert.pk, "problem": "dirty_old", "subject": ""}
    Alert.objects.update(repeat_at=Now())
    assert alerts.evaluate(synced).repeated == ()
    DirtyKey.objects.all().delete()
    assert alerts.evaluate(synced).resolved == (alert.pk,)
    assert events() == ["opened", "resolved"]
    with pytest.raises(UnusableInput, match="has no open alert"):
        alerts.acknowledge(synced, alert.pk, actor="ann")
    with pytest.raises(UnusableInput, match="has no open alert"):
        alerts.acknowledge(synced, 0, actor="ann")


def test_what_is_long_over_is_thrown_away(synced: AnyMigration) -> None:
    waiting(synced)
    alerts.evaluate(synced)
    DirtyKey.objects.all().delete()
    alerts.evaluate(synced)
    differing(synced)
    alerts.make_round([synced])
    assert Alert.objects.count() == 2
    Alert.objects.filter(status="resolved").update(resolved_at=Now() - timedelta(days=31))
    alerts.make_round([synced])
    assert [alert.problem for alert in Alert.objects.all()] == ["differences"]


@pytest.mark.parametrize(
    ("problem", "subject", "figures"),
    [
        (Problem.SILENT, "Hanna", {}),
        (Problem.RUN_FAILED, "٣", {}),
        (Problem.RUN_FAILED, "1" * 20, {}),
        (Problem.DIRTY_OLD, "", {"hanna": 1}),
        (Problem.DIRTY_OLD, "", {"count": "Hanna"}),
        (Problem.DIRTY_OLD, "", {"count": True}),
        (Problem.DIRTY_OLD, "", {"count": float("nan")}),
    ],
)
def test_there_is_no_place_for_a_name(problem: Problem, subject: str, figures: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no free text") as refused:
        Found(problem, subject, figures)
    assert "Hanna" not in str(refused.value)


MARKER = "Zwetschge"
"""What the child of this test is called, where its owner lives, and what stands on the board."""


class Recorder:
    """A channel that keeps what it was given, as every channel would send it."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, message: Payload) -> None:
        self.sent.append(json.dumps(message.as_dict()) + message.title + message.text)


def test_nothing_of_the_data_is_in_any_alert(
    notes: AnyMigration, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The real sources and the real evaluator, on data in which everything is called like nothing else."""
    settings.MIGRATION_OPS = PROMPT
    settings.ALERT_EMAILS = ["ops@example.org"]
    caplog.set_level(logging.DEBUG)
    begin_dual_write(notes)
    run("UPDATE migration_ops_migrationstate SET stage = 'shadow', version = version + 1")
    schema.add_rows((MARKER, f"{MARKER}@example.org", f"{MARKER} said"))
    key = f'["{MARKER}", "{MARKER}"]'
    bad = a_run("failed", error=f"{MARKER} cannot be read", actor=MARKER, hold_reason=MARKER)
    Difference.objects.create(
        migration="notes", run=bad, key=key, kind="mismatched", fields=[{"path": MARKER}], found_at=now()
    )
    waiting(notes)
    DirtyKey.objects.update(error=f"duplicate key ({MARKER})", attempts=3)
    history.append(notes, actor=evaluator.ACTOR, verb=control.AUTOMATIC, reason=MARKER, evidence={"of": MARKER})
    failing_writes(notes)
    ReadDifference.objects.create(migration="notes", key=key, step=state.read(notes).step)
    unwatched(notes)
    unsent(notes)
    evaluator.evaluate(notes)
    assert MARKER in GateReading.objects.get(gate="shadow_reads_clean", verdict="fail").evidence["message"]
    alerts.make_round([notes])
    recorder = Recorder()
    for message in AlertMessage.objects.exclude(payload={}):
        recorder.send(payload.read(message.payload))
    found = {alert.problem for alert in Alert.objects.filter(status="open")}
    assert found >= {"differences", "run_failed", "dirty_old", "rolled_back", "capture_gaps", "second_writes_fail"}
    assert found >= {"silent", "gate_fails", "outbox_fails"}
    said = [
        *recorder.sent,
        *(f"{message.subject} {message.body}" for message in mail.outbox),
        *(record.getMessage() for record in caplog.records if record.name.startswith("migration_ops.alerts")),
        *(json.dumps(item.as_dict()) for item in alerts.listing(notes)),
        *(json.dumps(alert.figures) for alert in Alert.objects.all()),
    ]
    assert len(mail.outbox) == len(recorder.sent) // 2 > 8
    assert not [text for text in said if MARKER.lower() in text.lower()]
