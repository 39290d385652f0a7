"""Reads both stores whole, chunk by chunk, each chunk in one snapshot, and notes whom it suspects.

1. Pass over legacy: each page of documents is compared with the modern documents of the same keys.
2. Pass over modern: keys of which legacy has nothing at all are extras.

Memory does not grow with the data: suspects are kept in the database, as keys.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import transaction

from migration_ops.backfill.batch_size import BatchSize
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Cursor, ListsKeys, Rejection, RowStore, Span, Store
from migration_ops.failpoints import failpoint, label
from migration_ops.preparation import prepare
from migration_ops.verify.compare import Kind, Tally, compare
from migration_ops.verify.journal import LEGACY_PASS, MODERN_PASS, Journal
from migration_ops.verify.quarantined import excuse_refused, notice
from migration_ops.verify.snapshot import in_snapshot

CHUNK_COMPARED = label("validation_chunk_compared")
CHUNK_NOTED = label("validation_chunk_noted")

CHUNK_SECONDS = 1.0
"""How long a snapshot should last. Nobody waits for a reader, but a long one keeps vacuum from its work."""

Progress = Callable[[int, Tally], None]
"""Told after every chunk: the number of the pass, and what has been counted so far."""


@dataclass(slots=True)
class Chunk:
    """What one snapshot showed."""

    cursor: Cursor | None
    tally: Tally
    suspects: dict[Any, Kind] = field(default_factory=dict)
    rejections: list[Rejection[Any]] = field(default_factory=list)
    reasons: tuple[str, ...] = ()


def sweep(journal: Journal, legacy: RowStore[Any, Any], modern: Store[Any, Any], progress: Progress) -> None:
    """Make both passes, from where the journal says they stopped.

    Raises:
        Unreadable: a store could not be read whole.
    """
    migration = journal.migration
    looks = (
        (LEGACY_PASS, lambda span, limit: compare_chunk(migration, legacy, modern, span, limit)),
        (MODERN_PASS, lambda span, limit: extras_chunk(legacy, modern, span, limit)),
    )
    for number, look in looks:
        make_pass(journal, legacy, number, look, progress)


def make_pass(
    journal: Journal,
    legacy: RowStore[Any, Any],
    number: int,
    look: Callable[[Span, int], Chunk],
    progress: Progress,
) -> None:
    """Look at chunk after chunk, each in a snapshot of its own, from where the journal says this pass stopped.

    Args:
        look: looks at so many documents from the beginning of the span.

    Raises:
        Unreadable: a store could not be read whole.
    """
    sizes = _sizes()
    while not journal.ranges[number].done:
        span = Span(after=journal.ranges[number].cursor)
        prepare(legacy, journal.keep_lease)
        started = time.monotonic()
        with _undisturbed():
            chunk = in_snapshot(partial(look, span), sizes.size)
        rows = chunk.tally.legacy_rows + chunk.tally.modern_documents
        sizes = sizes.after(rows=rows, seconds=time.monotonic() - started)
        failpoint(CHUNK_COMPARED)
        with transaction.atomic(durable=True):
            journal.suspect(chunk.suspects)
            journal.doubt(chunk.reasons)
            journal.advance(number, chunk.tally, cursor=chunk.cursor, done=chunk.cursor is None)
        failpoint(CHUNK_NOTED)
        notice(journal, chunk.rejections)
        progress(number, journal.tally())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the collector of cycles, a fifth faster: a chunk makes a hundred thousand values and not one cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _sizes() -> BatchSize:
    largest = settings().compare_batch
    return BatchSize.adaptive(start=largest, minimum=1, maximum=largest, target=CHUNK_SECONDS)


def compare_chunk(
    migration: AnyMigration, legacy: RowStore[Any, Any], modern: Store[Any, Any], span: Span, limit: int
) -> Chunk:
    """One page of legacy against the modern documents of its keys."""
    page = legacy.scan(span, limit)
    found = modern.load([document.key for document in page.documents])
    tally, suspects = compare(migration, page.documents, found.by_key())
    tally.legacy_rows = page.rows
    tally.rows_quarantined = len(page.rejections) + excuse_refused(migration, page.links, suspects)
    reasons = []
    if page.rows != len(page.documents) + page.merged_rows + len(page.rejections):
        reasons.append("The legacy store read rows of which it does not say what became of them.")
    if found.rejections:
        reasons.append("The modern store holds documents that it cannot read.")
    return Chunk(page.cursor, tally, suspects, page.rejections, tuple(reasons))


def extras_chunk(legacy: RowStore[Any, Any], modern: Store[Any, Any], span: Span, limit: int) -> Chunk:
    """One page of modern, asked whether legacy has anything of its keys. Their content had its turn."""
    if isinstance(modern, ListsKeys):
        listed = modern.scan_keys(span, limit)
        keys, cursor, unreadable = listed.keys, listed.cursor, False
    else:
        page = modern.scan(span, limit)
        keys, cursor = [document.key for document in page.documents], page.cursor
        unreadable = page.rows != len(keys) or bool(page.rejections)
    suspects = dict.fromkeys(legacy.absent(keys), Kind.MISSING_IN_LEGACY)
    reasons = ("The modern store holds documents that it cannot read.",) if unreadable else ()
    return Chunk(cursor, Tally(modern_documents=len(keys)), suspects, [], reasons)
