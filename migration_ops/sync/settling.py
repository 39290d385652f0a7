"""Brings in step what notices of the dirty list speak of, in one transaction.

Take notices that nobody else has taken, find out which keys they speak of, lock the keys, load each document from the
side that changed and write it to the other, take exactly these notices off the list. Killed anywhere, all of it is
undone and the notices are still there. A change that comes in meanwhile brings its own notice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.db import DatabaseError, transaction

from migration_ops import state
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import Refused
from migration_ops.failpoints import failpoint, label
from migration_ops.locks import KEY_PATIENCE, ROW_PATIENCE, enter_fence, lock_keys, lock_rows, wait_at_most
from migration_ops.patience import bounded_by
from migration_ops.preparation import prepare
from migration_ops.rollout import routing
from migration_ops.sentence import said, word
from migration_ops.stages import SYNCED, Stage
from migration_ops.state import State
from migration_ops.sync import bookkeeping, carry, claims, dirty, origin
from migration_ops.sync.claims import Notice

_CLAIMED = label("applier.claimed")
_LOCKED = label("applier.locked")
_DONE = label("applier.done")
_COMMITTED = label("applier.committed")


class UnreadableNoticeError(DatabaseError):
    """Somebody else than the product wrote onto the list; what was meant is not known, so the notice stays."""


class Settled(NamedTuple):
    """What was done.

    Attributes:
        notices: how many were taken off the list.
        lags: milliseconds from each change to the commit on the other side.
    """

    notices: int = 0
    lags: Sequence[float] = ()


def settle(
    migration: AnyMigration,
    claim: Callable[[], list[Notice]],
    from_legacy: Callable[..., None] = carry.from_legacy,
) -> Settled:
    """Bring in step what these notices speak of, and take them off the list.

    Args:
        claim: takes the notices, in the transaction.
        from_legacy: how a document is carried over from legacy.

    Raises:
        Refused: at this stage the stores are not kept in step.
        DatabaseError, MigrationOpsError: it could not be; nothing was changed, and the notices are still there.
    """
    prepare(migration.legacy())
    with transaction.atomic(durable=True):
        origin.announce_alone()
        wait_at_most(KEY_PATIENCE)
        enter_fence(migration)
        now = state.read(migration)
        refuse_unless_in_step(migration, now.stage)
        notices = claim()
        if not notices:
            return Settled()
        failpoint(_CLAIMED)
        changed, keyless, gone = _resolve(migration, notices)
        lock_keys(migration, changed)
        failpoint(_LOCKED)
        wait_at_most(ROW_PATIENCE)
        with bounded_by(ROW_PATIENCE):
            _carry(migration, changed, now, from_legacy)
        if keyless:
            bookkeeping.record_rejections(migration, migration.legacy().keyless(keyless), looked_at=changed)
        bookkeeping.forget(migration, gone)
        done = claims.done(notices)
        failpoint(_DONE)
    failpoint(_COMMITTED)
    return Settled(len(notices), done.lags())


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
    authorities = {key: routing.own_authority(migration, migration.unit(key), now).side for key in changed}
    sources = {key: authorities[key] if key in both else next(iter(sides)) for key, sides in changed.items()}
    at = dirty.now()
    for decides in (True, False):
        keys = {key for key, side in sources.items() if side is Side.LEGACY and (authorities[key] is side) is decides}
        from_legacy(migration, keys, conflicts=both & keys, at=at, decides=decides)
    keys = {key for key, side in sources.items() if side is Side.MODERN}
    carry.from_modern(migration, keys, conflicts=both & keys, at=at)


def _legacy_decides(migration: AnyMigration, now: State, key: Any) -> bool:
    return routing.authority(migration, migration.unit(key), now).side is Side.LEGACY


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


def refuse_unless_in_step(migration: AnyMigration, stage: Stage) -> None:
    """Changes are carried over only at stages at which the stores are kept in step.

    Raises:
        Refused: this one is none.
    """
    if stage is Stage.OFF:
        raise Refused(
            said(
                "%(migration)s is at stage off: nothing is captured, so there is nothing to sync."
                " Run `manage.py stage advance` first.",
                migration=migration.name,
            )
        )
    if stage not in SYNCED:
        raise Refused(
            said(
                "%(migration)s is at stage %(stage)s: the two stores are no longer kept in step.",
                migration=migration.name,
                stage=word(stage.value),
            )
        )
