"""Compares some documents, chosen at random, where there is no time for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.db import transaction

from migration_ops.definition import AnyMigration, RowStore, Span, Store
from migration_ops.models import Difference
from migration_ops.verify.compare import Kind, Tally, compare
from migration_ops.verify.journal import LEGACY_PASS, MODERN_PASS, Journal
from migration_ops.verify.quarantined import excuse_refused
from migration_ops.verify.snapshot import in_snapshot
from migration_ops.verify.sweep import Chunk, Progress, make_pass


def look_at_sample(
    journal: Journal,
    legacy: RowStore[Any, Any],
    modern: Store[Any, Any],
    size: int,
    seed: int,
    progress: Progress,
    *,
    compared: Callable[[Iterable[str]], set[str]] = lambda keys: set(),
) -> None:
    """Compare about `size` documents of legacy, and ask for about as many of modern whether legacy has them.

    Args:
        compared: those of these encoded keys that this run has compared already; they are not compared again.

    Raises:
        Unreadable: a store could not be read whole.
    """
    look = partial(_compared, journal.migration, legacy, modern, size, seed, compared)
    make_pass(journal, legacy, LEGACY_PASS, look, progress)
    if not journal.tally().matched and not Difference.objects.filter(run=journal.run).exists():
        _doubt_if_there_are_rows(journal, legacy)
    make_pass(journal, legacy, MODERN_PASS, partial(_extras, legacy, modern, size, seed), progress)


def _compared(
    migration: AnyMigration,
    legacy: RowStore[Any, Any],
    modern: Store[Any, Any],
    size: int,
    seed: int,
    compared: Callable[[Iterable[str]], set[str]],
    span: Span,
    limit: int,
) -> Chunk:
    page = legacy.sample(size, seed, limit=limit, after=span.after)
    known = compared(migration.encode_key(document.key) for document in page.documents)
    documents = [document for document in page.documents if migration.encode_key(document.key) not in known]
    found = modern.load([document.key for document in documents])
    tally, suspects = compare(migration, documents, found.by_key())
    tally.sampled = len(page.documents)
    tally.legacy_rows = len(page.links) + len(page.rejections)
    tally.rows_quarantined = len(page.rejections) + excuse_refused(migration, page.links, suspects)
    reasons = ("The modern store holds documents that it cannot read.",) if found.rejections else ()
    return Chunk(page.cursor, tally, suspects, page.rejections, reasons)


def _extras(legacy: RowStore[Any, Any], modern: Store[Any, Any], size: int, seed: int, span: Span, limit: int) -> Chunk:
    page = modern.sample(size, seed, limit=limit, after=span.after)
    absent = legacy.absent([document.key for document in page.documents])
    tally = Tally(modern_documents=len(page.documents))
    return Chunk(page.cursor, tally, dict.fromkeys(absent, Kind.MISSING_IN_LEGACY))


def _doubt_if_there_are_rows(journal: Journal, legacy: RowStore[Any, Any]) -> None:
    if in_snapshot(lambda _: legacy.estimate(), 1):
        with transaction.atomic(durable=True):
            journal.doubt(["The sample of the legacy store is empty, although there must be rows."])
