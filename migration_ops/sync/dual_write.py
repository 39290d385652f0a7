"""Dual write: a change of one document reaches both stores in one transaction, or the second one later, for certain.

    with writing(migration, key) as draft:
        draft.document = mark(draft.document, position, day, "green")

One transaction, which may be the caller's: the fence is shared, the stage read, the key locked, the document loaded
from the store that has the word (its *authority*), changed by the caller, saved there, and then saved in the other
store (the *follower*) inside a savepoint. If the follower fails, the write succeeds all the same: the key is on the
dirty list in the same commit, the failure is counted by its SQLSTATE, and the applier carries the document over later.

A store that cannot take part in a transaction, such as a file, is written only when the key is on the dirty list for
good: whatever happens in between, somebody looks at it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import Any, NamedTuple

from django.db import Error, connection, transaction

from migration_ops import preparation, state
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Batch, Prepares, Side
from migration_ops.exceptions import DocumentHeld, MigrationOpsError
from migration_ops.failpoints import failpoint, label
from migration_ops.locks import enter_fence, hurried, lock_keys, wait_at_most
from migration_ops.observe import metrics
from migration_ops.observe.measures import SecondOutcome, What
from migration_ops.observe.metrics import Measured
from migration_ops.patience import bounded_by, cause
from migration_ops.rollout import routing
from migration_ops.rollout.routing import Decision, Reason
from migration_ops.stages import SYNCED
from migration_ops.sync import applier, beginning, carry, dirty, origin, overtaken
from migration_ops.sync.draft import ATTEMPTED, Draft, Outcome, Place, put
from migration_ops.sync.follower import follow
from migration_ops.sync.settling import carry_over

__all__ = ["ATTEMPTED", "Draft", "Outcome", "prepare", "writing"]

logger = logging.getLogger(__name__)

AUTHORITY_NOTED = label("dual_write.noted")
AUTHORITY_SAVED = label("dual_write.saved")
COMMITTED = label("dual_write.committed")


def prepare(migration: AnyMigration, unit: str) -> None:
    """Have the store that has the word for this unit do what takes long before the transaction of a write begins.

    `writing` does so where it makes the transaction; whoever makes one around it calls this before.

    Raises:
        UnusableInput, DatabaseError: as the write would.
    """
    legacy = migration.legacy()
    if isinstance(legacy, Prepares) and routing.authority(migration, unit).side is Side.LEGACY:
        preparation.prepare(legacy)


@contextmanager
def writing(migration: AnyMigration, key: Any) -> Iterator[Draft]:
    """Change the document of this key. What the caller leaves in `draft.document` is written when the block ends.

    Takes part in the caller's transaction, or makes one. Whatever the block raises undoes everything; a failing
    follower undoes nothing. A document that is left as it was costs no write.

    Raises:
        DatabaseError: the store that has the word could not be written, or others held what it needs for longer than
            `write_patience`; nothing was changed.
        OvertakenError: its document was changed past the app after it was loaded; the same again begins from there.
        DocumentHeld: nothing of the document can be represented until a person has decided on its rows.
        ValueError: the block left the document of another key.
    """
    began = monotonic()
    if not connection.in_atomic_block:
        prepare(migration, migration.unit(key))
    with transaction.atomic():
        place = _enter(migration, key)
        yield place.draft
        _refuse_another_key(place.draft)
        if place.draft.document != place.draft.before:
            _write(place)
            measured = place.measured
            transaction.on_commit(lambda: metrics.add(migration, measured, seconds=monotonic() - began), robust=True)
            transaction.on_commit(lambda: failpoint(COMMITTED), robust=True)  # the outermost commit


def _enter(migration: AnyMigration, key: Any) -> Place:
    origin.announce()
    wait_at_most(settings().write_patience)
    enter_fence(migration)
    now = state.read(migration)
    lock_keys(migration, [key])
    usual = routing.authority(migration, migration.unit(key), now)
    settled = _settled(migration, key, usual) if now.stage in SYNCED else _Settled(usual)
    begun = beginning.loaded(migration, key, settled.decision)
    decision, store, found = begun.decision, begun.store, begun.found
    if _is_held(migration, key, decision, found):
        decision = replace(decision, side=Side.LEGACY, reason=Reason.QUARANTINED)
        store = migration.legacy().without_rejected()
        found = store.load([key], lock=True)
        if not found.documents:
            raise DocumentHeld
    document = found.by_key().get(key)
    rows = tuple(link.row for link in found.links if link.key == key)
    return Place(
        migration,
        Draft(key, document, document, decision),
        store,
        now.stage,
        settled.seen,
        rows,
        sqlstate=settled.blocked or begun.blocked,
    )


def _is_held(migration: AnyMigration, key: Any, decision: Decision, found: Batch[Any, Any]) -> bool:
    """Whether legacy alone can have this document, because a row of it waits for a person."""
    if decision.side is Side.LEGACY:
        return any(not said.accepted for said in found.rejections)
    return not found.documents and bool(routing.held(migration, [key], decision))


class _Settled(NamedTuple):
    """How a write begins, now that what waited for its document was brought over, or could not be.

    Attributes:
        decision: who has the word.
        seen: the notices that were looked at.
        blocked: the SQLSTATE with which the other store has just kept this write waiting in vain, if it did.
    """

    decision: Decision
    seen: frozenset[int] = frozenset()
    blocked: str = ""


def _settled(migration: AnyMigration, key: Any, usual: Decision) -> _Settled:
    """Bring a change of the other side that waits on the dirty list over first, so that it is not written over.

    Where that fails, it is logged and counted, and the side that changed has the word for this once.
    """
    notices = dirty.speaking_of(migration, [migration.encode_key(key)])
    seen = frozenset(notice for notice, _, _ in notices)
    waiting = {side for _, _, side in notices}
    if usual.side.other not in waiting:
        return _Settled(usual, seen)
    both = usual.side in waiting
    source = usual.side if both else usual.side.other
    began = monotonic()
    try:
        with transaction.atomic(), hurried(settings().follower_patience):
            carry_over(migration, {key}, source, conflicts={key} if both else set())
    except (Error, MigrationOpsError, OSError) as error:
        why = cause(error)
        logger.warning(
            "A change that waited in the %s store of %s could not be carried over before a write of its document: %s.",
            source,
            migration.name,
            why,
        )
        failed = Measured(What.CARRIED_FIRST, source.value, SecondOutcome.FAILED, why)
        metrics.add(migration, failed, seconds=monotonic() - began)
        if not both:
            return _Settled(replace(usual, side=source, reason=Reason.DIRTY), seen, beginning.blocked_by(error))
    return _Settled(usual, seen)


def _refuse_another_key(draft: Draft) -> None:
    if draft.document is not None and draft.document.key != draft.key:
        raise ValueError(f"The document of {draft.key} was replaced by one of {draft.document.key}.")


def _write(place: Place) -> None:
    migration, draft = place.migration, place.draft
    synced = place.stage in SYNCED
    notice = _note_first(place) if synced and not place.store.transactional else None
    with bounded_by(settings().write_patience):
        put(place.store, draft.key, draft.document)
    failpoint(AUTHORITY_SAVED)
    if not synced:
        draft.outcome = Outcome.ONE_STORE
    elif draft.decision.reason is Reason.QUARANTINED:
        draft.outcome = Outcome.HELD
        carry.record_rows(migration, [draft.key])
    elif not routing.follower_is_written():
        draft.outcome = Outcome.SWITCHED_OFF
    elif place.sqlstate:
        draft.outcome = Outcome.FAILED
    elif not migration.store(place.side.other).transactional:
        draft.outcome = Outcome.LATER
    else:
        draft.outcome = follow(place)
    if draft.outcome not in (Outcome.BOTH, Outcome.DIFFERENT):
        place.overtaken |= overtaken.in_authority(place)
    if place.overtaken:
        raise carry.overtaken(place.side)
    if draft.outcome in (Outcome.FAILED, Outcome.DIFFERENT, Outcome.SWITCHED_OFF, Outcome.LATER):
        dirty.mark_keys(migration, [draft.key], side=place.side)
    if draft.outcome is Outcome.LATER:
        transaction.on_commit(lambda: _carry_on(migration, draft.key), robust=True)
    if notice is not None:
        dirty.withdraw(notice)


def _note_first(place: Place) -> int:
    """The store is written at once, and a rollback does not bring it back: the key is dirty for good before that.

    The applier leaves the notice alone until this write has had its time.
    """
    notice = dirty.mark_for_good(
        place.migration, place.draft.key, side=place.side, not_before=settings().write_patience * 2
    )
    failpoint(AUTHORITY_NOTED)
    return notice


def _carry_on(migration: AnyMigration, key: Any) -> None:
    """Write the follower that is no part of the transaction, now that the authority has committed."""
    began, outcome = monotonic(), SecondOutcome.FAILED
    try:
        with bounded_by(settings().follower_patience):
            outcome = _carried_on(migration, key)
    finally:
        metrics.add(migration, Measured(What.SECOND_WRITE, outcome=outcome), seconds=monotonic() - began)


def _carried_on(migration: AnyMigration, key: Any) -> SecondOutcome:
    done = applier.apply_keys(migration, [key])
    if done.failed:
        return SecondOutcome.FAILED
    return SecondOutcome.BOTH if done.applied or not dirty.of_keys(migration, [key]) else SecondOutcome.TAKEN
