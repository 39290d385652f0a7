"""Removes rows of the modern store that belong to no document, while nobody can see them, and keeps what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import DatabaseError, transaction
from django.utils import timezone

from migration_ops import locks, stages, state
from migration_ops.backfill.errors import sentence
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, FindsStrays, Side, Stray
from migration_ops.exceptions import MigrationOpsError, Refused, StillLocked, Unreadable
from migration_ops.failpoints import failpoint, label
from migration_ops.models import BeforeImage
from migration_ops.sync import origin
from migration_ops.verify.snapshot import in_snapshot

REMOVED = label("repair_strays_removed")


@dataclass(frozen=True, slots=True)
class StrayFailure:
    """A table whose strays could not be removed, or not all of them, and why."""

    table: str
    message: str


@dataclass(slots=True)
class Removal:
    """What became of strays, or in a dry run would.

    Attributes:
        removed: rows.
        left: rows that are there still.
        kept_because: a sentence that says why none was removed; empty where they were.
        failed: tables at which something went wrong.
    """

    removed: int = 0
    left: int = 0
    kept_because: str = ""
    failed: list[StrayFailure] = field(default_factory=list)


def find(migration: AnyMigration) -> tuple[Stray, ...]:
    """Rows of the modern store that belong to no document, dependents first.

    Raises:
        Unreadable: the store could not be read whole.
    """
    modern = migration.modern()
    return tuple(in_snapshot(lambda _: modern.strays(), 1)) if isinstance(modern, FindsStrays) else ()


def plan(migration: AnyMigration, found: Sequence[Stray], *, complete: bool) -> Removal:
    """What `remove` would do, writing and locking nothing."""
    rows = sum(stray.rows for stray in found)
    because = _kept_because(migration, complete=complete) if rows else ""
    return Removal(left=rows, kept_because=because) if because else Removal(removed=rows)


def remove(migration: AnyMigration, found: Sequence[Stray], *, complete: bool, actor: str) -> Removal:
    """Remove what a validation found, no more rows of a table than it found, each kept as a before-image.

    Only while legacy is in authority for every key, so that no page shows anything of the modern store; and only after
    a validation that saw everything, because what a row hangs on may be there and hidden. One short transaction a
    batch, which waits for what others hold for `ROW_PATIENCE` at most; a table that fails does not stop the others.
    """
    done = plan(migration, found, complete=complete)
    if done.kept_because or not found:
        return done
    done.removed = 0
    for stray in found:
        try:
            _remove_table(migration, stray, actor, done)
        except DatabaseError as error:
            done.failed.append(StrayFailure(stray.table, sentence(error)))
        except MigrationOpsError as error:
            done.failed.append(StrayFailure(stray.table, str(error)))
    try:
        done.left = sum(stray.rows for stray in find(migration))
    except Unreadable as error:
        done.left = max(1, sum(stray.rows for stray in found) - done.removed)
        done.failed.append(StrayFailure(found[0].table, str(error)))
    return done


def _kept_because(migration: AnyMigration, *, complete: bool) -> str:
    if not complete:
        return "Not everything was seen, so what they hang on may be there."
    stage = state.stage(migration)
    if stages.authority(stage) is not Side.LEGACY:
        return f"At stage {stage.value} the modern store is in use, so a person has to look at them."
    return ""


def _remove_table(migration: AnyMigration, stray: Stray, actor: str, done: Removal) -> None:
    remaining = stray.rows
    while remaining > 0:
        removed = _remove_batch(migration, stray.table, min(remaining, settings().batch_maximum), actor)
        failpoint(REMOVED)
        if not removed:
            break
        remaining -= removed
        done.removed += removed
    there = next((left.rows for left in find(migration) if left.table == stray.table), 0) if remaining else 0
    if there:
        raise StillLocked(f"Others hold {there:,} of its rows, so these stay. Try again when they are done.")


def _remove_batch(migration: AnyMigration, table: str, limit: int, actor: str) -> int:
    modern = migration.modern()
    if not isinstance(modern, FindsStrays):
        return 0
    now = timezone.now()
    with transaction.atomic(durable=True):
        origin.announce_alone()
        with locks.waiting_for("the fence of the stage", locks.KEY_PATIENCE):
            locks.enter_fence(migration)
            stage = state.stage(migration)
        if stages.authority(stage) is not Side.LEGACY:
            raise Refused("The stage was changed meanwhile; validate again.")
        with locks.waiting_for(f"rows of {table} that belong to nothing", locks.ROW_PATIENCE):
            rows = modern.remove_strays(table, limit)
        BeforeImage.objects.bulk_create(
            BeforeImage(
                migration=migration.name,
                side=Side.MODERN.value,
                key=f"stray {table} {row.row}",
                row=row.row,
                image=row.image,
                cause="repair",
                actor=actor,
                at=now,
            )
            for row in rows
        )
    return len(rows)
