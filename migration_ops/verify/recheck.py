"""Looks at suspects again before they are called differences.

A key whose change is on its way to the other store is unequal for a moment and nothing is wrong. So every suspect is
looked at several times, each time in a fresh snapshot of both stores, with growing pauses, and only what is still
unequal at the end is a difference. A key that nobody carries over stays unequal, and is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.db import transaction

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, RowStore, Store
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Difference, DifferenceStatus
from migration_ops.preparation import prepare
from migration_ops.verify import lifecycle
from migration_ops.verify.compare import Kind, Tally
from migration_ops.verify.journal import SUSPECT_PASS, Journal
from migration_ops.verify.look import Looked, Seen, look
from migration_ops.verify.snapshot import in_snapshot

SUSPECTS_SETTLED = label("validation_suspects_settled")

GROWTH = 1.4
"""Each pause is so much longer than the one before."""


def pauses(rounds: int, patience: float) -> list[float]:
    """Seconds to wait before each further look: growing, `patience` in all."""
    weights = [GROWTH**number for number in range(rounds - 1)]
    return [patience * weight / sum(weights) for weight in weights]


def settle(
    journal: Journal,
    legacy: RowStore[Any, Any],
    modern: Store[Any, Any],
    *,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Decide about every suspect of this run: drop it, or confirm it as a difference.

    Never waits when there is no suspect, and at most `suspect_patience` in all. What the looks themselves take counts:
    where there are very many suspects, there are fewer looks, two at least.

    Raises:
        Unreadable: a store could not be read whole.
    """
    limits = settings()
    started = time.monotonic()
    patience = limits.suspect_patience.total_seconds()
    for pause in pauses(limits.suspect_rounds, patience):
        _look(journal, legacy, modern, last=False)
        if not _suspects(journal).exists() or time.monotonic() - started > patience:
            break
        wait(pause)
    _look(journal, legacy, modern, last=True)
    with transaction.atomic(durable=True):
        journal.advance(SUSPECT_PASS, Tally(), done=True)


def _look(journal: Journal, legacy: RowStore[Any, Any], modern: Store[Any, Any], *, last: bool) -> None:
    for suspects in _pages(journal):
        prepare(legacy, journal.keep_lease)
        keys = [each.key for each in suspects]
        looked = in_snapshot(partial(_looked, journal.migration, legacy, modern, keys), 1)
        with transaction.atomic(durable=True):
            _note(journal, suspects, looked.seen, last=last)
        failpoint(SUSPECTS_SETTLED)


def _looked(
    migration: AnyMigration, legacy: RowStore[Any, Any], modern: Store[Any, Any], keys: list[str], _: int
) -> Looked:
    return look(migration, legacy, modern, keys)


def _note(journal: Journal, suspects: list[Difference], seen: dict[str, Seen], *, last: bool) -> None:
    tally = Tally()
    innocent, confirmed = [], []
    for suspect in suspects:
        verdict = seen[suspect.key].verdict
        if not verdict.kind.is_difference:
            innocent.append(suspect.pk)
            # A document that seemed to be extra had its turn, if it was in legacy, in the pass over legacy.
            if verdict.tally is not None and suspect.kind != Kind.MISSING_IN_LEGACY:
                tally.add(verdict.tally)
        elif last:
            confirmed.append(suspect)
            if verdict.tally is not None:
                tally.add(verdict.tally)
    Difference.objects.filter(pk__in=innocent).delete()
    if confirmed:
        lifecycle.confirm(journal.migration, journal.run, confirmed, seen, keep=not journal.leaves_no_trace)
    journal.advance(SUSPECT_PASS, tally)


def _suspects(journal: Journal) -> Any:
    return Difference.objects.filter(run=journal.run, status=DifferenceStatus.SUSPECT)


def _pages(journal: Journal) -> Iterator[list[Difference]]:
    after = 0
    while page := list(_suspects(journal).filter(pk__gt=after).order_by("pk")[: settings().compare_batch]):
        yield page
        after = page[-1].pk
