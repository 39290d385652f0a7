"""Measures how soon a kill is seen: several processes ask again and again which store has the word, then it is thrown.

It is thrown for a migration that exists for this alone, so no family's reads move; the way is the same: one row, one
transaction, and decisions that read the row.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from migration_ops import state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import MigrationOpsError
from migration_ops.gates import Verdict
from migration_ops.models import GateReading
from migration_ops.rollout import control, watching

GATE = "kill_seen"

LIMIT = 1.0
"""Seconds within which every process has to see it."""

_ACTOR = "self-test"
_PATIENCE = 60.0
"""Seconds for a process to begin, and for a switch to be seen at all."""


@dataclass(frozen=True, slots=True)
class Seen:
    """When each process saw it, in milliseconds after the command that throws it was given."""

    milliseconds: tuple[float, ...]

    @property
    def last(self) -> float:
        return max(self.milliseconds)


def stand_in(migration: AnyMigration) -> AnyMigration:
    """The migration for which the switch is thrown."""
    return replace(migration, name=f"{migration.name}_self_test")


def run(migration: AnyMigration, *, processes: int) -> Seen:
    """Throw the switch with so many processes watching, and keep the figure as a reading of `kill_seen`.

    Raises:
        MigrationOpsError: a process did not see it at all.
    """
    tested = stand_in(migration)
    control.unkill(tested, actor=_ACTOR)
    context = multiprocessing.get_context("spawn")
    ends = [context.Pipe() for _ in range(processes)]
    watchers = [context.Process(target=watching.watch, args=(tested.name, theirs), daemon=True) for _, theirs in ends]
    try:
        for watcher in watchers:
            watcher.start()
        for ours, _ in ends:
            _said(ours)  # it watches
        thrown = time.monotonic()
        control.kill(tested, actor=_ACTOR)
        seen = Seen(tuple((_said(ours) - thrown) * 1000 for ours, _ in ends))
    finally:
        for watcher in watchers:
            watcher.kill()
            watcher.join()
        control.unkill(tested, actor=_ACTOR)
    GateReading.objects.create(
        migration=migration.name,
        step=state.read(migration).step,
        gate=GATE,
        verdict=Verdict.PASS if seen.last < LIMIT * 1000 else Verdict.FAIL,
        evidence={"processes": processes, "last_ms": round(seen.last, 1), "limit_ms": LIMIT * 1000},
    )
    return seen


def last_figure(migration: AnyMigration) -> GateReading | None:
    """The last measurement that was kept; None if there is none."""
    return GateReading.objects.filter(migration=migration.name, gate=GATE).order_by("-at").first()


def _said(end: Connection) -> float:
    try:
        if end.poll(_PATIENCE):
            moment: float = end.recv()
            return moment
    except EOFError:
        pass
    raise MigrationOpsError("A process that was to watch the kill switch ended, or did not see it; see its output.")
