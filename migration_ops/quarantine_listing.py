"""Selectors: what is in quarantine, as people and machines are shown it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import QuarantineItem, QuarantineStatus

SHOWN = 100
"""Items that a listing shows and an entry of the history names, unless more are asked for; all are counted."""

UNDECIDED = (QuarantineStatus.OPEN, QuarantineStatus.ACCEPTED)
"""What `listing` shows by default: everything but what resolved itself."""


@dataclass(frozen=True, slots=True)
class Item:
    """One quarantined row.

    Attributes:
        id: what decisions name.
        row: the row's id in the legacy store or in its file; a number where it is one.
        source: the file the row is of; None for the legacy store.
        held_by: the row that holds this one back, None for a row that is rejected itself.
    """

    id: int
    row: int | str
    code: str
    message: str
    source: str | None
    held_by: int | str | None
    status: str
    found_at: datetime
    decided_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in quarantine.

    Attributes:
        open, accepted: how many rows there are in all.
        items: those that were asked for, the oldest first.
    """

    open: int
    accepted: int
    items: tuple[Item, ...] = ()


def listing(
    migration: AnyMigration, *, code: str | None = None, status: Collection[str] = UNDECIDED, limit: int | None = SHOWN
) -> Listing:
    """The counts, and at most `limit` items of these statuses, of one code or all.

    Raises:
        UnusableInput: the migration has no such code, or the limit is less than 0.
    """
    if code is not None and code not in migration.rejection_codes:
        raise UnusableInput(f"{code} is no code of {migration.name}; there are {', '.join(migration.rejection_codes)}.")
    if limit is not None and limit < 0:
        raise UnusableInput(f"A list of {limit} items cannot be.")
    items = all_items(migration).filter(status__in=status).order_by("id")
    if code is not None:
        items = items.filter(code=code)
    return shown(migration, items[:limit])


def shown(migration: AnyMigration, items: Iterable[QuarantineItem]) -> Listing:
    """The counts, and these items."""
    counts = all_items(migration).aggregate(
        waiting=Count("pk", filter=Q(status=QuarantineStatus.OPEN)),
        accepted=Count("pk", filter=Q(status=QuarantineStatus.ACCEPTED)),
    )
    return Listing(counts["waiting"], counts["accepted"], tuple(_item(item) for item in items))


def all_items(migration: AnyMigration) -> QuerySet[QuarantineItem]:
    """Rows of the legacy store, and of files that were read beside it; without the rows as they were, which may be long
    and which nobody asks for here."""
    return QuarantineItem.objects.filter(migration=migration.name).defer("raw")


def number_of(row: str) -> int | str:
    """A row's id as JSON has it."""
    return int(row) if row.isascii() and row.isdigit() else row


def _item(item: QuarantineItem) -> Item:
    return Item(
        id=item.pk,
        row=number_of(item.row),
        code=item.code,
        message=item.message,
        source=item.source or None,
        held_by=None if item.held_by is None else number_of(item.held_by),
        status=item.status,
        found_at=item.found_at,
        decided_by=item.decided_by,
        reason=item.reason,
    )
