"""Selectors: what is in quarantine, as people and machines are shown it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Left, Length

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.sentence import said

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


RAW_SHOWN = 2_000
"""Characters of a row as it was that a page of many rows shows."""

PAGE = 50
"""Rows a page."""


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How many rows there are of one code and status."""

    code: str
    status: str
    rows: int


@dataclass(frozen=True, slots=True)
class Detailed:
    """A quarantined row as the person who decides looks at it.

    Attributes:
        key: the document it would belong to, as canonical text; None where that cannot be read.
        raw: the first `RAW_SHOWN` characters of the row as it was.
        cut: whether there are more of them.
    """

    item: Item
    key: str | None
    raw: str
    cut: bool


def by_code(migration: AnyMigration) -> list[CodeCount]:
    """What is in quarantine, counted in the database; in the order of the codes."""
    counted = all_items(migration).values_list("code", "status").annotate(rows=Count("pk"))
    found = [CodeCount(*each) for each in counted]
    order = {code: place for place, code in enumerate(migration.rejection_codes)}
    return sorted(found, key=lambda each: (order.get(each.code, len(order)), each.code, each.status))


def page(migration: AnyMigration, *, code: str, status: str, number: str) -> Page[Detailed]:
    """Page `number` of the rows of this code and status, from 1 on; the nearest there is."""
    items = all_items(migration).filter(code=code, status=status).order_by("id")
    cut = items.annotate(start=Left("raw", RAW_SHOWN), length=Length("raw"))
    pages: Paginator[Any] = Paginator(cut, PAGE)
    found = pages.get_page(number)
    detailed = [Detailed(_item(item), item.key, item.start, item.length > RAW_SHOWN) for item in found]
    return Page(detailed, found.number, pages)


def waiting_ids(migration: AnyMigration, code: str) -> list[int]:
    """The rows of this code that wait for a decision and are rejected themselves; the oldest first.

    Raises:
        UnusableInput: the migration has no such code.
    """
    _refuse_unknown(migration, code)
    waiting = all_items(migration).filter(code=code, status=QuarantineStatus.OPEN, held_by=None)
    return list(waiting.order_by("id").values_list("pk", flat=True))


def listing(
    migration: AnyMigration, *, code: str | None = None, status: Collection[str] = UNDECIDED, limit: int | None = SHOWN
) -> Listing:
    """The counts, and at most `limit` items of these statuses, of one code or all.

    Raises:
        UnusableInput: the migration has no such code, or the limit is less than 0.
    """
    if code is not None:
        _refuse_unknown(migration, code)
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


def _refuse_unknown(migration: AnyMigration, code: str) -> None:
    if code not in migration.rejection_codes:
        codes = ", ".join(migration.rejection_codes)
        raise UnusableInput(
            said(
                "%(code)s is no code of %(migration)s; there are %(codes)s.",
                code=code,
                migration=migration.name,
                codes=codes,
            )
        )


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
