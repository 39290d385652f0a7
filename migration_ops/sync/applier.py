"""The applier: works off the dirty list, so that the side that did not change says what the changed one says.

One transaction a batch: take notices nobody else has taken, find out which keys they speak of, lock the keys, load each
document from the changed side and write it to the other, take exactly these notices off the list. Killed anywhere, the
transaction is undone and the notices are still there. A change that comes in meanwhile brings its own notice.

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

from django.db import DatabaseError, Error, connection, transaction

from migration_ops import state
from migration_ops.backfill.errors import Backoff, Kind, kind, sentence
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import Refused
from migration_ops.failpoints import failpoint, label
from migration_ops.locks import KEY_PATIENCE, ROW_PATIENCE, enter_fence, lock_keys, lock_rows, wait_at_most
from migration_ops.patience import sqlstate
from migration_ops.preparation import prepare
from migration_ops.rollout import routing
from migration_ops.stages import SYNCED, Stage
from migration_ops.state import State
from migration_ops.sync import bookkeeping, carry, claims, dirty, origin, polling
from migration_ops.sync.claims import Notice

_CLAIMED = label("applier.claimed")
_LOCKED = label("applier.locked")
_DONE = label("applier.done")
_COMMITTED = label("applier.committed")
_DEFERRED = label("applier.deferred")

ROUNDS = 4
"""How often `drain` goes back for what was noted while it worked. Applying one notice can bring forth others, for the
document that a row has left, but not a chain of them."""

_REPEATED = frozenset({Kind.CONFLICT, Kind.DISCONNECTED})
"""Errors after which the same batch is tried again; a batch that waited too long for a lock is taken apart instead, so
that only the key that is locked stays behind."""


class UnreadableNoticeError(DatabaseError):
    """Somebody else than the product wrote onto the list; what was meant is not known, so the notice stays."""


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
    return _alone_by_id(migration, ids) if ids else Applied()


def carry_over(migration: AnyMigration, keys: Collection[Any], source: Side, *, conflicts: Collection[Any]) -> None:
    """Make the other side say of these keys what `source` says, in the caller's transaction, which holds their locks.

    Args:
        conflicts: those of the keys that changed on the other side as well; what it said is kept as a before-image.

    Raises:
        DatabaseError, MigrationOpsError: it could not be; undo it.
    """
    if source is Side.LEGACY:
        decides = partial(_legacy_decides, migration, state.read(migration))
        for key in keys:
            carry.from_legacy(migration, {key}, conflicts=conflicts, at=dirty.now(), decides=decides(key))
    else:
        carry.from_modern(migration, keys, conflicts=conflicts, at=dirty.now())


def lag_p95(lags: Collection[float]) -> float | None:
    """The lag in milliseconds that 95 % stay within (nearest rank); None where nothing was applied."""
    if not lags:
        return None
    return sorted(lags)[-(-len(lags) * 95 // 100) - 1]


def _step(migration: AnyMigration, limit: int, *, noted: datetime, due: datetime) -> Applied:
    retries = settings().retries
    claimed: list[Notice] = []

    def claim() -> list[Notice]:
        claimed[:] = claims.claim(migration, limit, noted=noted, due=due)
        return claimed

    for attempt in range(1, retries + 2):
        try:
            return _batch(migration, claim)
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
        total.add(_alone(migration, group))
    return total


def _alone(migration: AnyMigration, group: list[Notice]) -> Applied:
    return _alone_by_id(migration, [notice.id for notice in group])


def _alone_by_id(migration: AnyMigration, ids: list[int]) -> Applied:
    try:
        return _written_or_set_aside(migration, partial(claims.claim_these, migration, ids))
    except Error as error:
        _reconnect_if_lost()
        if kind(error) is Kind.DISCONNECTED:
            raise
        with transaction.atomic(durable=True):
            mine = claims.claim_these(migration, ids)
            claims.defer(mine, sqlstate=sqlstate(error), error=sentence(error))
            failpoint(_DEFERRED)
        return Applied(failed=len(mine))


def _written_or_set_aside(migration: AnyMigration, claim: Callable[[], list[Notice]]) -> Applied:
    """What the modern database refuses for what it says is a person's business; trying again would not help."""
    try:
        return _batch(migration, claim)
    except Error as error:
        if kind(error) is not Kind.ROW:
            raise
    return _batch(migration, claim, carry.from_legacy_or_set_aside)


def _batch(
    migration: AnyMigration,
    claim: Callable[[], list[Notice]],
    from_legacy: Callable[..., None] = carry.from_legacy,
) -> Applied:
    prepare(migration.legacy())
    with transaction.atomic(durable=True):
        origin.announce()
        wait_at_most(KEY_PATIENCE)
        enter_fence(migration)
        now = state.read(migration)
        _refuse_unless_synced(migration, now.stage)
        notices = claim()
        if not notices:
            return Applied()
        failpoint(_CLAIMED)
        changed, keyless, gone = _resolve(migration, notices)
        lock_keys(migration, changed)
        failpoint(_LOCKED)
        wait_at_most(ROW_PATIENCE)
        _carry(migration, changed, now, from_legacy)
        if keyless:
            bookkeeping.record_rejections(migration, migration.legacy().keyless(keyless), looked_at=changed)
        bookkeeping.forget(migration, gone)
        done = claims.done(notices)
        failpoint(_DONE)
    failpoint(_COMMITTED)
    return Applied(applied=len(notices), lags=done.lags())


def _resolve(migration: AnyMigration, notices: Collection[Notice]) -> tuple[dict[Any, set[Side]], set[str], set[str]]:
    """The sides on which each key changed; rows without a readable key; rows that are gone.

    A row stands for the key the lineage has for it and for the one it has now: when it moved, both are to be mended.
    """
    changed: dict[Any, set[Side]] = defaultdict(set)
    rows = {notice.row for notice in notices if notice.row is not None}
    for notice in notices:
        if notice.row is None:
            changed[_key(migration, notice)].add(notice.side)
    if not rows:
        return changed, set(), set()
    lock_rows(migration, rows)
    present = migration.legacy().keys_of(rows)
    known = bookkeeping.old_keys(migration, rows)
    keys = {key for key in present.values() if key is not None}
    keys |= {migration.decode_key(key) for key in known.values() if key is not None}
    for key in keys:
        changed[key].add(Side.LEGACY)
    return changed, {row for row, key in present.items() if key is None}, rows - present.keys()


def _key(migration: AnyMigration, notice: Notice) -> Any:
    if notice.key is None:
        raise UnreadableNoticeError(f"Notice {notice.id} names neither a row nor a document.")
    try:
        return migration.decode_key(notice.key)
    except ValueError as error:
        raise UnreadableNoticeError(f"Notice {notice.id} names no document of {migration.name}: {error}") from error


def _carry(
    migration: AnyMigration, changed: dict[Any, set[Side]], now: State, from_legacy: Callable[..., None]
) -> None:
    encoded = {migration.encode_key(key): key for key in changed}
    for key, side in dirty.sides(migration, encoded):
        changed[encoded[key]].add(side)
    both = {key for key, sides in changed.items() if len(sides) == 2}
    words = {key: routing.authority(migration, migration.unit(key), now).side for key in changed}
    sources = {key: words[key] if key in both else next(iter(sides)) for key, sides in changed.items()}
    at = dirty.now()
    for decides in (True, False):
        keys = {key for key, side in sources.items() if side is Side.LEGACY and (words[key] is side) is decides}
        from_legacy(migration, keys, conflicts=both & keys, at=at, decides=decides)
    keys = {key for key, side in sources.items() if side is Side.MODERN}
    carry.from_modern(migration, keys, conflicts=both & keys, at=at)


def _legacy_decides(migration: AnyMigration, now: State, key: Any) -> bool:
    return routing.authority(migration, migration.unit(key), now).side is Side.LEGACY


def refuse_unless_synced(migration: AnyMigration) -> None:
    """Changes are carried over only where the stores are kept in step.

    Raises:
        Refused: at this stage they are not.
    """
    _refuse_unless_synced(migration, state.stage(migration))


def _refuse_unless_synced(migration: AnyMigration, stage: Stage) -> None:
    if stage is Stage.OFF:
        raise Refused(
            f"{migration.name} is at stage off: nothing is captured, so there is nothing to sync."
            " Run `manage.py stage advance` first."
        )
    if stage not in SYNCED:
        raise Refused(f"{migration.name} is at stage {stage}: the two stores are no longer kept in step.")


def _delay(attempt: int) -> float:
    limits = settings()
    first, longest = limits.retry_first_delay.total_seconds(), limits.retry_longest_delay.total_seconds()
    return Backoff(first=first, longest=longest).delay(attempt, random.random())  # noqa: S311 - no secret


def _reconnect_if_lost() -> None:
    """Drop a connection that is no longer usable; Django makes a new one when it is needed."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
