"""Where a migration stands: read, kept as it was decided on, and told to whoever listens. `transitions` and
`rollout.turning` alone change it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal

from django.db import connection

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import StageChanged
from migration_ops.models import MigrationState
from migration_ops.sentence import said, word
from migration_ops.stages import Stage

CHANNEL = "migration_ops_stage"
"""`LISTEN` here to hear the name of a migration whose stage, percent, hold or kill changed."""


@dataclass(frozen=True, slots=True)
class Dial:
    """What decides where the reads and writes of a unit go, as it was when it was read.

    Attributes:
        percent: share of the units that read modern at `ramp`.
        kill: all reads go to legacy.
        canary_header, canary_cookie: names by which staff, or who has a signed cookie, asks for a store; "" for none.
        canary_percent: share of the units that read modern as canaries, outside the plan.
        named: whether the flag names canary users or groups.
        step: grows by one whenever stage, percent or kill change; what was counted at one step is evidence about it.
    """

    name: str
    stage: Stage = Stage.OFF
    percent: Decimal = Decimal(0)
    kill: bool = False
    canary_header: str = ""
    canary_cookie: str = ""
    canary_percent: Decimal = Decimal(0)
    named: bool = False
    step: int = 0

    @property
    def serves_modern(self) -> bool:
        """Whether anybody reads modern, or gets it by asking for it, while legacy is still in use."""
        if self.kill or self.stage not in (Stage.RAMP, Stage.LIVE):
            return False
        asked_for = self.named or bool(self.canary_header or self.canary_cookie)
        return self.stage is Stage.LIVE or bool(self.percent or self.canary_percent) or asked_for


@dataclass(frozen=True, slots=True)
class State(Dial):
    """Where a migration stood when it was read.

    Attributes:
        hold: nothing moves forward.
        version: grows by one with every change made by the services.
        capture_since: since when changes past the app are captured; None while they are not.
        capture_lost: how many captures had been lost when capture was last known to be whole.
        changed_at: None when nothing ever happened.
        stepped_at: since when the migration is at this step.
        named_people: how many people the flag names, by themselves or by a group of theirs.
        people: how many there were in all when that was counted.
    """

    hold: bool = False
    version: int = 0
    capture_since: datetime | None = None
    capture_lost: int = 0
    changed_at: datetime | None = None
    stepped_at: datetime | None = None
    named_people: int = 0
    people: int = 0


def _select(shape: type[Dial]) -> str:
    columns = ", ".join(field.name for field in fields(shape) if field.name != "name")
    return f"SELECT {columns} FROM migration_ops_migrationstate WHERE name = %s"


# By hand, one row by its primary key, and no column that does not decide: every request begins with it, and what it
# costs, every request pays. Nothing is remembered from one to the next, so that each sees a kill.
_DIAL = _select(Dial)
_STATE = _select(State)


def dial(migration: AnyMigration) -> Dial:
    """As `read`, of what a decision of the router needs alone."""
    with connection.cursor() as cursor:
        cursor.execute(_DIAL, [migration.name])
        row = cursor.fetchone()
    return Dial(migration.name) if row is None else Dial(migration.name, Stage(row[0]), *row[1:])


def read(migration: AnyMigration) -> State:
    """The state of this migration; one that nobody ever moved is at stage `off`.

    What it says may be past a moment later, unless the caller's transaction holds the fence (`locks.enter_fence`) or
    the row itself (`locked`).
    """
    return by_name(migration.name)


def by_name(name: str) -> State:
    """The state of the migration of this name, whether it is registered or not; as `read`."""
    return _found(_STATE, name)


def _found(sql: str, name: str) -> State:
    with connection.cursor() as cursor:
        cursor.execute(sql, [name])
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


def locked(migration: AnyMigration, decided_on: State) -> State:
    """The state that somebody decided on, which until its end this transaction alone can change.

    Raises:
        StageChanged: there is another one by now.
    """
    for_update = f"{_STATE} FOR UPDATE"
    now = _found(for_update, migration.name)
    if now.changed_at is None:  # only then: inserting counts people, also where it conflicts, and a kill waits for none
        MigrationState.objects.bulk_create([MigrationState(name=migration.name)], ignore_conflicts=True)
        now = _found(for_update, migration.name)
    if now.version != decided_on.version:
        raise changed(now)
    return now


def tell(migration: AnyMigration) -> None:
    """Tell everybody who listens, when the caller's transaction commits, that it changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, migration.name])


def changed(now: State) -> StageChanged:
    """What to raise where somebody else was faster."""
    at = word(now.stage)
    if now.stage is Stage.RAMP:
        at = said("%(stage)s and %(percent)s", stage=at, percent=f"{now.percent.normalize():f} %")
    return StageChanged(
        said(
            "%(migration)s is at %(at)s now: somebody else changed it in the meantime. Look again and decide anew.",
            migration=now.name,
            at=at,
        )
    )


def stage(migration: AnyMigration) -> Stage:
    """The stage of this migration; see `read` for how long it holds."""
    return read(migration).stage
