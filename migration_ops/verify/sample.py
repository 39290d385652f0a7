"""Compares some documents, chosen at random, where there is no time for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from django.db import transaction

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, RowStore, Store
from migration_ops.preparation import prepare
from migration_ops.verify.compare import Kind, Tally, compare
from migration_ops.verify.journal import LEGACY_PASS, MODERN_PASS, Journal
from migration_ops.verify.quarantined import excuse_refused, notice
from migration_ops.verify.snapshot import in_snapshot
from migration_ops.verify.sweep import Chunk, Progress

Item = TypeVar("Item")


def look_at_sample(
    journal: Journal, legacy: RowStore[Any, Any], modern: Store[Any, Any], size: int, seed: int, progress: Progress
) -> None:
    """Compare about `size` documents of legacy, and ask for about as many of modern whether legacy has them.

    Raises:
        Unreadable: a store could not be read whole.
    """
    looks = (
        (LEGACY_PASS, partial(_compared, journal.migration, legacy, modern, size, seed)),
        (MODERN_PASS, partial(_extras, legacy, modern, size, seed)),
    )
    for number, look in looks:
        prepare(legacy, journal.keep_lease)
        chunk = in_snapshot(look, 1)
        with transaction.atomic(durable=True):
            journal.suspect(chunk.suspects)
            journal.doubt(chunk.reasons)
            journal.advance(number, chunk.tally, done=True)
        notice(journal, chunk.rejections)
        progress(number, journal.tally())


def _compared(
    migration: AnyMigration, legacy: RowStore[Any, Any], modern: Store[Any, Any], size: int, seed: int, _: int
) -> Chunk:
    batch = legacy.sample(size, seed)
    chunk = Chunk(None, Tally(legacy_rows=len(batch.links) + len(batch.rejections)), rejections=batch.rejections)
    chunk.tally.rows_quarantined = len(batch.rejections)
    for documents in _slices(batch.documents):
        found = modern.load([document.key for document in documents])
        tally, suspects = compare(migration, documents, found.by_key())
        chunk.tally.add(tally)
        chunk.suspects.update(suspects)
        if found.rejections:
            chunk.reasons = ("The modern store holds documents that it cannot read.",)
    chunk.tally.rows_quarantined += excuse_refused(migration, batch.links, chunk.suspects)
    if not batch.documents and legacy.estimate():
        chunk.reasons += ("The sample of the legacy store is empty, although there must be rows.",)
    return chunk


def _extras(legacy: RowStore[Any, Any], modern: Store[Any, Any], size: int, seed: int, _: int) -> Chunk:
    batch = modern.sample(size, seed)
    absent = set()
    for documents in _slices(batch.documents):
        absent |= legacy.absent([document.key for document in documents])
    return Chunk(None, Tally(modern_documents=len(batch.documents)), dict.fromkeys(absent, Kind.MISSING_IN_LEGACY))


def _slices(items: list[Item]) -> Iterator[list[Item]]:
    remaining = iter(items)
    while part := list(islice(remaining, settings().compare_batch)):
        yield part
