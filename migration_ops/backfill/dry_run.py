"""What a backfill would do, found out without writing anything: the same pages, mapped and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from migration_ops.backfill.counters import Counters
from migration_ops.backfill.progress import Progress
from migration_ops.backfill.stop import Stop
from migration_ops.definition import AnyMigration, Page, RowStore, Saved, Span
from migration_ops.preparation import nobody_waits, prepare

PAGE = 500
"""Rows a page; nothing is locked, so nobody waits."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of the rows that were read.

    Attributes:
        counters: of these rows.
        expected: how many rows there are, roughly; None where nobody knows.
        to_the_end: whether it was all there is to read.
    """

    counters: Counters
    expected: int | None
    to_the_end: bool


class _Stopped(Exception):
    """It was told to stop while the store prepared itself."""


def rehearse(
    migration: AnyMigration,
    *,
    limit: int | None,
    stop: Stop,
    show: Callable[[Progress], None] | None,
    clock: Callable[[], float],
    spans: Sequence[Span] | None = None,
) -> Rehearsed:
    """Read everything, or `limit` rows, each page in a read-only transaction, and count what would become of it.

    Args:
        spans: what to read; by default all there is.
    """

    def working() -> None:
        if stop.requested:
            raise _Stopped

    began = clock()
    legacy = migration.legacy()
    counters = Counters()
    try:
        prepare(legacy, working)
    except _Stopped:
        return Rehearsed(counters, None, to_the_end=False)
    with transaction.atomic():
        _read_only()
        everything, expected = legacy.spans(1), legacy.estimate()
    for span in everything if spans is None else spans:
        if stop.requested:
            break
        left = None if limit is None else limit - counters.rows_read
        for page, saved in pages(migration, legacy, span, limit=left):
            counters = counters.plus(page, saved)
            if show is not None:
                show(Progress.of(counters, expected=expected, seconds=clock() - began))
            if stop.requested:
                break
    to_the_end = not stop.requested and (limit is None or counters.rows_read < limit)
    return Rehearsed(counters, expected, to_the_end)


def pages(
    migration: AnyMigration,
    legacy: RowStore[Any, Any],
    span: Span,
    *,
    limit: int | None = None,
    working: Callable[[], None] = nobody_waits,
) -> Iterator[tuple[Page[Any, Any], Saved]]:
    """The pages of this span, or of its first `limit` rows, each read in a read-only transaction, and what would become
    of its documents.

    Args:
        working: called while the store prepares itself before a page, see `preparation.prepare`.
    """
    cursor, going, read = span.after, True, 0
    while going and (rows := PAGE if limit is None else min(PAGE, limit - read)) > 0:
        prepare(legacy, working)
        with transaction.atomic():
            _read_only()
            page = legacy.scan(Span(cursor, span.until), rows)
            saved = _would_save(migration, page)
        yield page, saved
        cursor, going, read = page.cursor, page.cursor is not None, read + page.rows


def _read_only() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")


def _would_save(migration: AnyMigration, page: Page[Any, Any]) -> Saved:
    known = migration.modern().load([document.key for document in page.documents]).by_key()
    same = sum(
        document.key in known and not migration.differences(document, known[document.key])
        for document in page.documents
    )
    return Saved(written=len(page.documents) - same, unchanged=same)
