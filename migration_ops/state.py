"""Selectors: where a migration stands. They read and return values; `transitions` and `rollout.control` alone change
anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import StageChanged
from migration_ops.stages import Stage

CHANNEL = "migration_ops_stage"
"""`LISTEN` here to hear the name of a migration whose stage, percent, hold or kill changed."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a migration stood when it was read.

    Attributes:
        percent: share of the units that read modern at `ramp`.
        hold: nothing moves forward.
        kill: all reads go to legacy.
        version: grows by one with every change made by the services.
        capture_since: since when changes past the app are captured; None while they are not.
        capture_lost: how many captures had been lost when capture was last known to be whole.
        changed_at: None when nothing ever happened.
        canary_header, canary_cookie: names by which staff, or who has a signed cookie, asks for a store; "" for none.
        canary_percent: share of the units that read modern as canaries, outside the plan.
        named: whether the flag names canary users or groups.
        step: grows by one whenever stage, percent or kill change; what was counted at one step is evidence about it.
        stepped_at: since when the migration is at this step.
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
    canary_header: str = ""
    canary_cookie: str = ""
    canary_percent: Decimal = Decimal(0)
    named: bool = False
    step: int = 0
    stepped_at: datetime | None = None


# One statement, by hand: every decision begins with it.
_READ = f"""
SELECT stage, percent, hold, kill, version, capture_since, capture_lost, changed_at,
       canary_header, canary_cookie, canary_percent,
       stage = '{Stage.RAMP.value}' AND EXISTS (
           SELECT FROM migration_ops_flag AS flag WHERE flag.name = state.name
              AND (EXISTS (SELECT FROM migration_ops_flag_users AS named WHERE named.flag_id = flag.id)
                   OR EXISTS (SELECT FROM migration_ops_flag_groups AS named WHERE named.flag_id = flag.id))),
       step, stepped_at
  FROM migration_ops_migrationstate AS state WHERE name = %s
"""


def read(migration: AnyMigration, *, lock: bool = False) -> State:
    """The state of this migration; one that nobody ever moved is at stage `off`.

    What it says may be past a moment later, unless the caller's transaction holds the fence (`locks.enter_fence`) or
    asked for `lock`, which keeps the row for this transaction alone.
    """
    return by_name(migration.name, lock=lock)


def by_name(name: str, *, lock: bool = False) -> State:
    """The state of the migration of this name, whether it is registered or not; as `read`."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_READ} FOR UPDATE OF state" if lock else _READ, [name])
        row = cursor.fetchone()
    return State(name) if row is None else State(name, Stage(row[0]), *row[1:])


def seen(migration: AnyMigration, version: int | None) -> State:
    """The state that somebody decides on.

    Args:
        version: the one that was looked at; None for whichever there is now.

    Raises:
        StageChanged: there is another one by now.
    """
    now = read(migration)
    if version is not None and version != now.version:
        raise changed(now)
    return now


def changed(now: State) -> StageChanged:
    """What to raise where somebody else was faster."""
    at = f"{now.stage} and {now.percent.normalize():f} %" if now.stage is Stage.RAMP else now.stage
    return StageChanged(
        f"{now.name} is at {at} now: somebody else changed it in the meantime. Look again and decide anew."
    )


def stage(migration: AnyMigration) -> Stage:
    """The stage of this migration; see `read` for how long it holds."""
    return read(migration).stage
