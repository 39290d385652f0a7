"""Rows that a validation found rejected before anybody else did."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction

from migration_ops import locks
from migration_ops.definition import AnyMigration, Rejection
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.sync import bookkeeping


def record_new(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> int:
    """Put those of these rows into quarantine that are not in it, so that none is left out silently; how many.

    The rows are looked at once more under the locks of their keys, because what a snapshot said may be past.
    """
    unknown = _unknown(migration, rejections)
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


def _unknown(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> list[Rejection[Any]]:
    if not rejections:
        return []
    known = set(
        QuarantineItem.objects.filter(migration=migration.name, row__in=[rejection.row for rejection in rejections])
        .exclude(status=QuarantineStatus.RESOLVED)
        .values_list("row", flat=True)
    )
    return [rejection for rejection in rejections if rejection.row not in known]
