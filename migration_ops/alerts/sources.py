"""Looks for problems: a function for each kind, all of them selectors that take milliseconds.

They count and read states. What a gate, a run or a notice says in words stays where it is, for it may quote a document.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.db import connection

from migration_ops import state
from migration_ops.alerts.problems import Channel, Found, Problem
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.gates import Verdict
from migration_ops.health.standing import BACKGROUND
from migration_ops.models import UNSETTLED, HistoryEntry, Run, RunStatus, Severity
from migration_ops.observe import heartbeat, totals
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.measures import SecondOutcome, What
from migration_ops.rollout import control, evaluator
from migration_ops.stages import CAPTURING, PROCESSES, SYNCED
from migration_ops.sync import capture
from migration_ops.sync.draft import ATTEMPTED, Outcome
from migration_ops.verify import lifecycle

Source = Callable[[AnyMigration], Iterable[Found]]

WATCHED = (*evaluator.HOLDS, PROCESSES)
"""Gates whose failure is a problem and no step of the way; the others wait for work that somebody does."""

OUTBOX_ATTEMPTS = 3
"""A message that failed so often is a problem of its channel."""

_EVIDENCE = {"value": "value", "threshold": "threshold", "n": "among", "k": "count"}
"""What of a gate's evidence is told, under which name; all of it numbers."""

# One look into the index for each gate, after months of readings too.
_LATEST = """
SELECT wanted.gate, reading.evidence
  FROM unnest(%s::text[]) AS wanted (gate),
       LATERAL (SELECT verdict, step, evidence FROM migration_ops_gatereading
                 WHERE migration = %s AND gate = wanted.gate ORDER BY at DESC LIMIT 1) AS reading
 WHERE reading.step = %s AND reading.verdict = %s
"""

_STRANDED = """
SELECT run.id
  FROM migration_ops_run AS run LEFT JOIN migration_ops_runrange AS range ON range.run_id = run.id
 WHERE run.migration = %s AND run.status = 'running'
 GROUP BY run.id, run.started_at, run.beat_at
HAVING greatest(run.started_at, run.beat_at, max(range.lease_until)) < clock_timestamp()
"""

_WAITING = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(created_at))::float,
       count(*) FILTER (WHERE attempts > 0)
  FROM migration_ops_dirtykey WHERE migration = %s
"""

_UNSENT = """
SELECT message.channel, count(*)
  FROM migration_ops_alertmessage AS message JOIN migration_ops_alert AS alert ON alert.id = message.alert_id
 WHERE alert.migration = %s AND message.sent_at IS NULL
   AND (message.given_up_at > clock_timestamp() - make_interval(secs => %s) AND message.attempts > 0
        OR message.given_up_at IS NULL AND message.attempts >= %s)
 GROUP BY message.channel
"""


def failing_gates(migration: AnyMigration) -> Iterator[Found]:
    """Those that the evaluator last found to fail, at this step."""
    now = state.read(migration)
    if now.stage not in SYNCED:
        return
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, [list(WATCHED), migration.name, now.step, Verdict.FAIL.value])
        for gate, evidence in cursor.fetchall():
            yield Found(Problem.GATE_FAILS, gate, _numbers(json.loads(evidence)))


def _numbers(evidence: Mapping[str, Any]) -> dict[str, float]:
    said = {told: evidence.get(name) for name, told in _EVIDENCE.items()}
    return {
        name: value
        for name, value in said.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def rollback(migration: AnyMigration) -> Iterator[Found]:
    """Reads went back by themselves, and since then nobody but the evaluator has done anything."""
    entries = HistoryEntry.objects.filter(migration=migration.name)
    last = entries.filter(verb=control.AUTOMATIC).order_by("-id").first()
    if last is None or entries.filter(id__gt=last.pk, verb__in=_TAKEN_IN_HAND).exists():
        return
    yield Found(Problem.ROLLED_BACK, str(last.pk))


_TAKEN_IN_HAND = ("resume", "advance", "set", "back", "kill", "unkill", "rollback")


def differences(migration: AnyMigration) -> Iterator[Found]:
    """Confirmed ones that nobody has mended or explained; what waits on the dirty list is on its way."""
    there = lifecycle.standing(migration).filter(status__in=UNSETTLED)
    count = there.exclude(severity=Severity.LOW).count()
    if count:
        yield Found(Problem.DIFFERENCES, figures={"count": count})


def runs(migration: AnyMigration) -> Iterator[Found]:
    """The last run of each kind, where it stopped by itself; and every run that nobody works on."""
    latest = Run.objects.filter(migration=migration.name).order_by("kind", "-id").distinct("kind")
    for run in latest:
        if run.status == RunStatus.FAILED or (run.status == RunStatus.PAUSED and run.error):
            yield Found(Problem.RUN_FAILED, str(run.pk))
    with connection.cursor() as cursor:
        cursor.execute(_STRANDED, [migration.name])
        for (number,) in cursor.fetchall():
            yield Found(Problem.RUN_STRANDED, str(number))


def silence(migration: AnyMigration) -> Iterator[Found]:
    """Background processes that the stage asks for and that say nothing."""
    if state.stage(migration) not in SYNCED:
        return
    for role in BACKGROUND:
        yield from _silence_of(migration, role)


def _silence_of(migration: AnyMigration, role: Role) -> Iterator[Found]:
    age = heartbeat.age(migration, role)
    if age is None:
        yield Found(Problem.SILENT, role.value)
    elif age > heartbeat.longest_silence(role).total_seconds():
        yield Found(Problem.SILENT, role.value, {"age_seconds": age})


def captures(migration: AnyMigration) -> Iterator[Found]:
    """Changes past the app that are not watched, or were lost."""
    stage = state.stage(migration)
    captured = {side: capture.status(migration, side=side) for side in Side if stage in CAPTURING[side]}
    for side, status in captured.items():
        if status.gaps:
            yield Found(Problem.CAPTURE_GAPS, side.value, {"count": len(status.gaps)})
    lost = max((status.lost for status in captured.values()), default=0)
    if lost:
        yield Found(Problem.CAPTURE_LOST, figures={"count": lost})


def waiting_changes(migration: AnyMigration) -> Iterator[Found]:
    """A dirty list whose oldest notice is older than `alert_dirty_age`."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [migration.name])
        count, age, failing = cursor.fetchone()
    if count and age > settings().alert_dirty_age.total_seconds():
        yield Found(Problem.DIRTY_OLD, figures={"count": count, "age_seconds": age, "failing": failing})


def second_writes(migration: AnyMigration) -> Iterator[Found]:
    """Second writes that failed lately; those that the applier has mended as well."""
    window = settings().alert_window
    writes = totals.counted(migration, What.WRITE, within=window)
    later = totals.counted(migration, What.SECOND_WRITE, within=window)
    failed = writes.of(Outcome.FAILED, Outcome.DIFFERENT) + later.of(SecondOutcome.FAILED)
    if failed >= settings().alert_write_failures:
        figures = {"failed": failed, "among": writes.of(*ATTEMPTED), "age_seconds": window.total_seconds()}
        yield Found(Problem.SECOND_WRITES_FAIL, figures=figures)


def outbox(migration: AnyMigration) -> Iterator[Found]:
    """Channels through which messages do not go out."""
    recently = settings().alert_retry_longest_delay.total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(_UNSENT, [migration.name, recently, OUTBOX_ATTEMPTS])
        for channel, count in cursor.fetchall():
            yield Found(Problem.OUTBOX_FAILS, Channel(channel).value, {"count": count})


SOURCES: Mapping[Source, frozenset[Problem]] = {
    failing_gates: frozenset({Problem.GATE_FAILS}),
    rollback: frozenset({Problem.ROLLED_BACK}),
    differences: frozenset({Problem.DIFFERENCES}),
    runs: frozenset({Problem.RUN_FAILED, Problem.RUN_STRANDED}),
    silence: frozenset({Problem.SILENT}),
    captures: frozenset({Problem.CAPTURE_GAPS, Problem.CAPTURE_LOST}),
    waiting_changes: frozenset({Problem.DIRTY_OLD}),
    second_writes: frozenset({Problem.SECOND_WRITES_FAIL}),
    outbox: frozenset({Problem.OUTBOX_FAILS}),
}
"""Every source, with the problems that it alone tells of: those are not known to be gone while it cannot look."""
