"""Capture: triggers that notice every change of a store's tables, also those made past the app.

Apply workers of logical replication fire no triggers for statements; preflight refuses tables that a subscription
writes to.

The function of a captured table writes one dirty key a changed row, runs with its owner's rights because an old client
has none on the engine's tables, and never fails the statement it watches: what it could not write it counts in a
sequence, which not even a rollback takes back. A sequence cannot say *which* rows were lost, so capture is only whole
again after everything was compared once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction

from migration_ops import registry, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import DirtyKey, MigrationState
from migration_ops.sentence import Sentence, joined, said
from migration_ops.sync import polling
from migration_ops.sync.triggers import EVENTS, LOST, Watch, rows


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """Whether every change of a store is noticed.

    Attributes:
        tables: what is watched by triggers, partitions and children included; empty where the store is polled instead.
        gaps: sentences about what is not watched although it should be.
        lost: statements whose changes could not be written down since capture was last known to be whole.
    """

    tables: tuple[str, ...]
    gaps: tuple[Sentence, ...]
    lost: int

    @property
    def intact(self) -> bool:
        return not self.gaps and not self.lost

    @property
    def message(self) -> Sentence:
        """What to tell a person."""
        if self.gaps:
            return joined(self.gaps)
        if self.lost:
            return said(
                "The changes of %(lost)s statements could not be captured; which ones is not known."
                " Run the backfill and a full validation again.",
                lost=str(self.lost),
            )
        return said("Every change is captured.")


def install(migration: AnyMigration, *, side: Side = Side.LEGACY) -> bool:
    """Watch every captured table of this side, from the commit of the caller's transaction on.

    Takes SHARE ROW EXCLUSIVE locks on those tables, so it waits for writers and no write slips between; set
    `lock_timeout` before. Touches nothing where everything is in place already.

    Returns: whether something was missing, so that changes before this call may have gone unnoticed.

    Raises:
        UnusableInput: a table to be watched does not exist.
    """
    watches = _watches(migration, side)
    if not watches:
        return side is Side.LEGACY and polling.begin(migration)
    changed = [watch.install() for watch in watches]
    return any(changed)


def after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of `post_migrate`: what an earlier version of the product watches with is brought up to this one.

    Locks no captured table. Does nothing where the dirty list is not there (yet, or any more).
    """
    if using != DEFAULT_DB_ALIAS or DirtyKey._meta.db_table not in connection.introspection.table_names():
        return
    for migration in registry.all_migrations():
        for side in Side:
            with transaction.atomic():
                for watch in _watches(migration, side):
                    watch.renew()


def remove(migration: AnyMigration, *, side: Side = Side.LEGACY) -> None:
    """Watch no longer. Takes ACCESS EXCLUSIVE locks on the captured tables; set `lock_timeout` before."""
    watches = _watches(migration, side)
    if not watches and side is Side.LEGACY:
        polling.end(migration)
    for watch in watches:
        watch.remove()


def status(migration: AnyMigration, *, side: Side = Side.LEGACY) -> CaptureStatus:
    """What is watched, what is not, and how many captures were lost.

    Raises:
        UnusableInput: a table to be watched does not exist.
    """
    lost = max(lost_total() - state.read(migration).capture_lost, 0)
    watches = _watches(migration, side)
    if not watches:
        gaps = [] if polling.begun(migration) else [said("Nothing is polled yet: no version of the store was noted.")]
        return CaptureStatus((), tuple(gaps), lost)
    return CaptureStatus(
        tuple(f"{schema}.{table}" for watch in watches for schema, table, _ in watch.family()),
        tuple(
            said("%(event)s on %(table)s is not watched.", event=event.upper(), table=f"{schema}.{table}")
            for watch in watches
            for schema, table, event in watch.gaps()
        ),
        lost,
    )


_CHANGED = """
SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname = ANY(%s) AND age(xmin) <= age(%s::text::xid))
"""


def changed_since(migration: AnyMigration, transaction: int, *, side: Side) -> bool:
    """Whether this transaction or a later one made a trigger of this side anew, or switched it off or on: what went
    past the app meanwhile may have gone unnoticed."""
    names = [watch.name(event) for watch in _watches(migration, side) for event in EVENTS]
    ((changed,),) = rows(_CHANGED, [names, str(transaction % 2**32)])
    return bool(changed)


def lost_total() -> int:
    """How many captures were lost since this database was made; grows, and survives rollbacks.

    Read it before something begins that looks at every row, and hand it to `confirm_whole` when that has succeeded.
    """
    ((total,),) = rows(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {LOST}", [])
    return int(total)


def confirm_whole(migration: AnyMigration, lost: int) -> None:
    """Everything was looked at after `lost` captures had been lost: these no longer count against the migration."""
    MigrationState.objects.filter(name=migration.name, capture_lost__lt=lost).update(capture_lost=lost)


def _watches(migration: AnyMigration, side: Side) -> list[Watch]:
    tables = migration.store(side).captured_tables
    if not tables:
        return []
    ((schema,),) = rows(
        "SELECT nspname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace"
        " WHERE pg_class.oid = 'migration_ops_dirtykey'::regclass",
        [],
    )
    return [Watch(migration, table, side, schema) for table in tables]
