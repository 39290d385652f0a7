"""The applier: works off the dirty list, so that the side that did not change says what the changed one says.

Batch after batch, each in one transaction (`settling`). A batch that fails is taken apart: each row or key alone, so
that one that cannot be carried over holds up no other, and backs off.

Nothing here waits for a user for long: `lock_timeout` ends the wait before PostgreSQL looks for deadlocks, so that in a
knot it is always the applier that lets go.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.db import Error, connection, transaction

from migration_ops import state
from migration_ops.backfill.errors import Backoff, Kind, kind, sentence
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.failpoints import failpoint, label
from migration_ops.patience import sqlstate
from migration_ops.sync import carry, claims, dirty, polling
from migration_ops.sync.claims import Notice
from migration_ops.sync.settling import Settled, refuse_unless_in_step, settle

_DEFERRED = label("applier.deferred")

ROUNDS = 4
"""How often `drain` goes back for what was noted while it worked. Applying one notice can bring forth others, for the
document that a row has left, but not a chain of them."""

_REPEATED = frozenset({Kind.CONFLICT, Kind.DISCONNECTED})
"""Errors after which the same batch is tried again; a batch that waited too long for a lock is taken apart instead, so
that only the key that is locked stays behind."""


@dataclass(slots=True)
class Applied:
    """What became of the notices that were taken.

    Attributes:
        applied: notices whose keys are in step now.
        failed: notices that stay on the list, with the reason, until their next attempt.
        remaining: notices on the list afterwards, the failed ones included.
        lags: milliseconds from change to commit on the other side, one per applied notice.
    """

    applied: int = 0
    failed: int = 0
    remaining: int = 0
    lags: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, settled: Settled) -> Applied:
        return cls(applied=settled.notices, lags=list(settled.lags))

    def add(self, other: Applied) -> None:
        self.applied += other.applied
        self.failed += other.failed
        self.lags += other.lags


def drain(migration: AnyMigration, *, limit: int | None = None, stop: Callable[[], bool] = lambda: False) -> Applied:
    """Work off the list, batch after batch, until nothing is left that is due; each notice is tried once at most.

    What is noted meanwhile is worked off too, but only so often: it ends although somebody writes all the time.

    Args:
        limit: notices a batch (default: `sync_batch`).
        stop: asked between batches.

    Raises:
        Refused: at this stage the stores are not kept in step.
        DatabaseError: the database is not there, or the list itself cannot be read.
    """
    total = Applied()
    due = dirty.now()
    refuse_unless_synced(migration)
    polling.poll(migration)
    for _ in range(ROUNDS):
        noted = claims.noted(migration, due=due)
        if noted is None:
            break
        while not stop():
            step = _step(migration, limit or settings().sync_batch, noted=noted, due=due)
            total.add(step)
            if not (step.applied or step.failed) or not claims.is_due(migration, noted=noted, due=due):
                break
    total.remaining = dirty.remaining(migration)
    return total


def apply_keys(migration: AnyMigration, keys: Collection[Any]) -> Applied:
    """Work off the notices that name these keys, now; those that fail stay on the list and back off.

    Raises:
        Refused: at this stage the stores are not kept in step.
        DatabaseError: the database is not there.
    """
    refuse_unless_synced(migration)
    ids = dirty.of_keys(migration, keys)
    return _alone(migration, ids) if ids else Applied()


def lag_p95(lags: Collection[float]) -> float | None:
    """The lag in milliseconds that 95 % stay within (nearest rank); None where nothing was applied."""
    if not lags:
        return None
    return sorted(lags)[-(-len(lags) * 95 // 100) - 1]


def _step(migration: AnyMigration, limit: int, *, noted: datetime, due: datetime) -> Applied:
    """One batch; again where the next time may be better, and otherwise taken apart."""
    retries = settings().retries
    claimed: list[Notice] = []

    def claim() -> list[Notice]:
        claimed[:] = claims.claim(migration, limit, noted=noted, due=due)
        return claimed

    for attempt in range(1, retries + 2):
        try:
            return Applied.of(settle(migration, claim))
        except Error as error:
            _reconnect_if_lost()
            if kind(error) in _REPEATED and attempt <= retries:
                time.sleep(_delay(attempt))
            elif claimed:
                break
            else:
                raise
    return _one_by_one(migration, claimed)


def _one_by_one(migration: AnyMigration, notices: Iterable[Notice]) -> Applied:
    """Each row or key in a transaction of its own, so that one that fails holds up nobody and no lock is kept long."""
    groups: dict[tuple[Side, str | None, str | None], list[Notice]] = defaultdict(list)
    for notice in notices:
        groups[notice.side, notice.row, notice.key].append(notice)
    total = Applied()
    for group in groups.values():
        total.add(_alone(migration, [notice.id for notice in group]))
    return total


def _alone(migration: AnyMigration, ids: list[int]) -> Applied:
    """These notices in one transaction; where it fails, they stay on the list and back off."""
    try:
        return Applied.of(_written_or_set_aside(migration, partial(claims.claim_these, migration, ids)))
    except Error as error:
        _reconnect_if_lost()
        if kind(error) is Kind.DISCONNECTED:
            raise
        with transaction.atomic(durable=True):
            mine = claims.claim_these(migration, ids)
            claims.defer(mine, sqlstate=sqlstate(error), error=sentence(error))
            failpoint(_DEFERRED)
        return Applied(failed=len(mine))


def _written_or_set_aside(migration: AnyMigration, claim: Callable[[], list[Notice]]) -> Settled:
    """What the modern database refuses for what it says is a person's business; trying again would not help."""
    try:
        return settle(migration, claim)
    except Error as error:
        if kind(error) is not Kind.ROW:
            raise
    return settle(migration, claim, carry.from_legacy_or_set_aside)


def refuse_unless_synced(migration: AnyMigration) -> None:
    """Changes are carried over only where the stores are kept in step.

    Raises:
        Refused: at this stage they are not.
    """
    refuse_unless_in_step(migration, state.stage(migration))


def _delay(attempt: int) -> float:
    limits = settings()
    first, longest = limits.retry_first_delay.total_seconds(), limits.retry_longest_delay.total_seconds()
    return Backoff(first=first, longest=longest).delay(attempt, random.random())  # noqa: S311 - no secret


def _reconnect_if_lost() -> None:
    """Drop a connection that is no longer usable; Django makes a new one when it is needed."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
