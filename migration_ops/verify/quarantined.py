"""Rows that a validation found rejected before anybody else did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from django.db import transaction

from migration_ops import locks
from migration_ops.definition import AnyMigration, Rejection, RowLink
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.sync import bookkeeping, refusals
from migration_ops.verify.compare import Kind
from migration_ops.verify.journal import Journal


def notice(journal: Journal, rejections: Collection[Rejection[Any]]) -> None:
    """Put those of these rows into quarantine that are not in it; a dry run only counts them."""
    if journal.leaves_no_trace:
        journal.unrecorded += Counter(said.code for said in undecided(journal.migration, rejections))
    else:
        record_new(journal.migration, rejections)


def record_new(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> int:
    """Put those of these rows into quarantine that are not in it, so that none is left out silently; how many.

    The rows are looked at once more under the locks of their keys, because what a snapshot said may be past.
    """
    unknown = undecided(migration, rejections)
    if not unknown:
        return 0
    legacy = migration.legacy()
    rows = {rejection.row for rejection in unknown}
    keys = {rejection.key for rejection in unknown if rejection.key is not None}
    with transaction.atomic(durable=True):
        locks.enter_fence(migration)
        locks.lock_rows(migration, rows)
        locks.lock_keys(migration, keys)
        present = [*legacy.load(keys).rejections, *legacy.keyless(rows)]
        mine = [rejection for rejection in present if rejection.row in rows]
        bookkeeping.record_rejections(migration, mine)
    return len(mine)


def undecided(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> list[Rejection[Any]]:
    """Those of these rows that wait for a person although no item says so: there is none, or somebody accepted what the
    row was before."""
    if not rejections:
        return []
    items = QuarantineItem.objects.filter(migration=migration.name, row__in=[said.row for said in rejections])
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
