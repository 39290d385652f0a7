"""Selectors: where a migration stands. They read and return values; `transitions` alone changes anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from migration_ops.definition import AnyMigration
from migration_ops.models import MigrationState
from migration_ops.stages import Stage

CHANNEL = "migration_ops_stage"
"""`LISTEN` here to hear the name of a migration whose stage, percent, hold or kill changed."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a migration stood when it was read.

    Attributes:
        version: grows by one with every change of the stage.
        capture_since: since when changes past the app are captured; None while they are not.
        capture_lost: how many captures had been lost when capture was last known to be whole.
        changed_at: None when nothing ever happened.
    """

    name: str
    stage: Stage = Stage.OFF
    percent: Decimal = Decimal(0)
    hold: bool = False
    kill: bool = False
    version: int = 0
    capture_since: datetime | None = None
    capture_lost: int = 0
    changed_at: datetime | None = None


def read(migration: AnyMigration, *, lock: bool = False) -> State:
    """The state of this migration; one that nobody ever moved is at stage `off`.

    What it says may be past a moment later, unless the caller's transaction holds the fence (`locks.enter_fence`) or
    asked for `lock`, which keeps the row for this transaction alone.
    """
    rows = MigrationState.objects.filter(name=migration.name)
    if lock:
        rows = rows.select_for_update()
    row = rows.values_list(
        "stage", "percent", "hold", "kill", "version", "capture_since", "capture_lost", "changed_at"
    ).first()
    if row is None:
        return State(migration.name)
    return State(migration.name, Stage(row[0]), *row[1:])


def stage(migration: AnyMigration) -> Stage:
    """The stage of this migration; see `read` for how long it holds."""
    return read(migration).stage
