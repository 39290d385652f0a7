"""Rows that a validation found rejected before anybody else did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from django.db import OperationalError, transaction

from migration_ops import locks, stages, state
from migration_ops.backfill import errors
from migration_ops.backfill.errors import kind
from migration_ops.definition import AnyMigration, Rejection, RowLink, Side
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.preparation import prepare
from migration_ops.sync import bookkeeping, dirty, refusals
from migration_ops.verify.compare import Kind
from migration_ops.verify.journal import Journal


def notice(journal: Journal, rejections: Collection[Rejection[Any]]) -> None:
    """Put those of these rows into quarantine that are not in it; a dry run only counts them."""
    if journal.leaves_no_trace:
        journal.unrecorded += Counter(said.code for said in undecided(journal.migration, rejections))
    else:
        mark_stale_copies(journal.migration, rejections)
        try:
            record_new(journal.migration, rejections)
        except OperationalError as error:
            if kind(error) is not errors.Kind.BLOCKED:
                raise
            _leave_to_applier(journal, rejections)


def record_new(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> int:
    """Put those of these rows into quarantine that are not in it, so that none is left out silently; how many.

    The rows are looked at once more under the locks of their keys, because what a snapshot said may be past. They are
    marked dirty as well: modern may still have what they said before, which the applier takes away.

    Raises:
        OperationalError: somebody holds one of the keys or rows for longer than the applier would wait.
    """
    unknown = undecided(migration, rejections)
    if not unknown:
        return 0
    legacy = migration.legacy()
    rows = {rejection.row for rejection in unknown}
    keys = {rejection.key for rejection in unknown if rejection.key is not None}
    prepare(legacy)
    with transaction.atomic(durable=True):
        locks.wait_at_most(locks.KEY_PATIENCE)
        locks.enter_fence(migration)
        locks.lock_rows(migration, rows)
        locks.lock_keys(migration, keys)
        present = [*legacy.load(keys).rejections, *legacy.keyless(rows)]
        mine = [rejection for rejection in present if rejection.row in rows]
        bookkeeping.record_rejections(migration, mine)
        dirty.mark_rows(migration, [rejection.row for rejection in mine])
    return len(mine)


def mark_stale_copies(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> None:
    """Mark documents dirty that modern has although rows of them wait for a person, as long as legacy decides."""
    if stages.authority(state.stage(migration)) is not Side.LEGACY:
        return
    keys = {said.key for said in rejections if said.key is not None and not said.accepted}
    if keys and (present := keys - migration.modern().absent(keys)):
        dirty.mark_keys(migration, present, side=Side.LEGACY)


def _leave_to_applier(journal: Journal, rejections: Collection[Rejection[Any]]) -> None:
    """Somebody works on these rows: the applier looks at them when it may, and they count as waiting until then."""
    waiting = undecided(journal.migration, rejections)
    dirty.mark_rows(journal.migration, [said.row for said in waiting])
    journal.unrecorded += Counter(said.code for said in waiting)


def undecided(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> list[Rejection[Any]]:
    """Those of these rows that wait for a person although no item says so: there is none, or somebody accepted what the
    row was before."""
    if not rejections:
        return []
    items = QuarantineItem.of(migration).filter(row__in=[said.row for said in rejections])
    waiting = set(items.filter(status=QuarantineStatus.OPEN).values_list("row", flat=True))
    accepted = dict(items.filter(status=QuarantineStatus.ACCEPTED).values_list("row", "fingerprint"))
    return [said for said in rejections if said.row not in waiting and accepted.get(said.row) != said.fingerprint]


def excuse_refused(migration: AnyMigration, links: Collection[RowLink[Any]], suspects: dict[Any, Kind]) -> int:
    """Drop from the suspects what is missing in modern because its database refused it as it is; how many of these rows
    are quarantined for that."""
    refused = refusals.standing(migration, links)
    for key in {link.key for link in refused}:
        if suspects.get(key) is Kind.MISSING_IN_MODERN:
            del suspects[key]
    return len(refused)
