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

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Any

from django.db import Error, connection, transaction

from migration_ops import state
from migration_ops.backfill.errors import sqlstate
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Batch, Side, Store
from migration_ops.exceptions import DocumentHeld, MigrationOpsError
from migration_ops.failpoints import failpoint, label
from migration_ops.locks import enter_fence, lock_keys, wait_at_most
from migration_ops.observe import metrics
from migration_ops.observe.metrics import Measured
from migration_ops.patience import bounded_by, milliseconds
from migration_ops.rollout import routing
from migration_ops.rollout.routing import Decision, Reason
from migration_ops.stages import Stage
from migration_ops.sync import applier, carry, dirty, origin
from migration_ops.verify.compare import judge

AUTHORITY_NOTED = label("dual_write.noted")
AUTHORITY_SAVED = label("dual_write.saved")
FOLLOWED = label("dual_write.followed")
COMMITTED = label("dual_write.committed")


class Outcome(StrEnum):
    """What became of the second write."""

    UNCHANGED = "unchanged"
    """The document is as it was; nothing was written anywhere."""

    BOTH = "both"
    """Both stores say it, in one commit."""

    FAILED = "failed"
    """The follower refused or was too slow; the key is on the dirty list."""

    DIFFERENT = "different"
    """Both were written, and one says something else than the other; the key is on the dirty list."""

    LATER = "later"
    """The follower is no part of the transaction; it is written right after the commit, and the key is on the list."""

    SWITCHED_OFF = "switched_off"
    """`DUAL_WRITE` stops writing to the follower; the key is on the dirty list."""

    HELD = "held"
    """A row of the document is in quarantine; it stays in legacy alone until a person has decided."""

    ONE_STORE = "one_store"
    """At this stage there is no second store."""


ATTEMPTED = frozenset({Outcome.BOTH, Outcome.FAILED, Outcome.DIFFERENT, Outcome.LATER})
"""Outcomes that count as attempts at a second write; its success rate is `BOTH` ÷ these."""


_A_LITTLE_MORE = 1.25
"""A statement may take longer than it may wait, so that whoever waited in vain is told that it was a lock."""


@dataclass(slots=True)
class Draft:
    """A document while it is being changed.

    Attributes:
        key: whose document.
        before: what the authority said; None where it has none.
        document: what it shall say; None removes it.
        decision: which store has the word, and why.
        outcome: what became of the second write; known when `writing` has ended.
    """

    key: Any
    before: Any
    document: Any
    decision: Decision
    outcome: Outcome = Outcome.UNCHANGED


@contextmanager
def writing(migration: AnyMigration, key: Any) -> Iterator[Draft]:
    """Change the document of this key. What the caller leaves in `draft.document` is written when the block ends.

    Takes part in the caller's transaction, or makes one. Whatever the block raises undoes everything; a failing
    follower undoes nothing. A document that is left as it was costs no write.

    Raises:
        DatabaseError: the store that has the word could not be written, or others held what it needs for longer than
            `write_patience`; nothing was changed.
        DocumentHeld: nothing of the document can be represented until a person has decided on its rows.
        ValueError: the block left the document of another key.
    """
    began = monotonic()
    with transaction.atomic():
        place = _enter(migration, key)
        yield place.draft
        _refuse_another_key(place.draft)
        if place.draft.document != place.draft.before:
            _write(place)
            measured = Measured("write", place.draft.decision.side.value, place.draft.outcome.value, place.sqlstate)
            transaction.on_commit(lambda: metrics.add(migration, measured, seconds=monotonic() - began), robust=True)
            transaction.on_commit(lambda: failpoint(COMMITTED), robust=True)  # the outermost commit


@dataclass(slots=True)
class _Place:
    """Where a draft is to be written.

    Attributes:
        store: the authority's.
        stage: as the fence keeps it.
        seen: notices about the key that were on the dirty list when the document was loaded.
        sqlstate: of the follower's failure.
    """

    migration: AnyMigration
    draft: Draft
    store: Store[Any, Any]
    stage: Stage
    seen: frozenset[int] = frozenset()
    sqlstate: str = ""

    @property
    def side(self) -> Side:
        return self.draft.decision.side


def _enter(migration: AnyMigration, key: Any) -> _Place:
    origin.announce()
    wait_at_most(settings().write_patience)
    enter_fence(migration)
    now = state.read(migration)
    lock_keys(migration, [key])
    usual = routing.authority(migration, migration.unit(key), now)
    synced = now.stage in applier.SYNCED
    decision, seen = _settled(migration, key, usual) if synced else (usual, frozenset[int]())
    store = migration.store(decision.side)
    found = store.load([key], lock=True)
    if _is_held(migration, key, decision, found):
        decision = Decision(Side.LEGACY, Reason.QUARANTINED)
        store = migration.legacy().without_rejected()
        found = store.load([key], lock=True)
        if not found.documents:
            raise DocumentHeld
    document = found.by_key().get(key)
    return _Place(migration, Draft(key, document, document, decision), store, now.stage, seen)


def _is_held(migration: AnyMigration, key: Any, decision: Decision, found: Batch[Any, Any]) -> bool:
    """Whether legacy alone can have this document, because a row of it waits for a person."""
    if decision.side is Side.LEGACY:
        return any(not said.accepted for said in found.rejections)
    return not found.documents and bool(routing.held(migration, [key], decision))


def _settled(migration: AnyMigration, key: Any, usual: Decision) -> tuple[Decision, frozenset[int]]:
    """Bring a change of the other side that waits on the dirty list over first, so that it is not written over.

    Where that fails, the side that changed has the word for this once.

    Returns: who has the word, and the notices that were looked at.
    """
    notices = dirty.speaking_of(migration, [migration.encode_key(key)])
    seen = frozenset(notice for notice, _, _ in notices)
    waiting = {side for _, _, side in notices}
    if usual.side.other not in waiting:
        return usual, seen
    both = usual.side in waiting
    source = usual.side if both else usual.side.other
    try:
        with transaction.atomic(), _hurried():
            applier.carry_over(migration, {key}, source, conflicts={key} if both else set())
    except (Error, MigrationOpsError, OSError):
        return (usual if both else Decision(source, Reason.DIRTY)), seen
    return usual, seen


def _refuse_another_key(draft: Draft) -> None:
    if draft.document is not None and draft.document.key != draft.key:
        raise ValueError(f"The document of {draft.key} was replaced by one of {draft.document.key}.")


def _write(place: _Place) -> None:
    migration, draft = place.migration, place.draft
    synced = place.stage in applier.SYNCED
    notice = _note_first(place) if synced and not place.store.transactional else None
    with bounded_by(settings().write_patience):
        _put(place.store, draft.key, draft.document)
    failpoint(AUTHORITY_SAVED)
    if not synced:
        draft.outcome = Outcome.ONE_STORE
    elif draft.decision.reason is Reason.QUARANTINED:
        draft.outcome = Outcome.HELD
        carry.record_rows(migration, [draft.key])
    elif not routing.follower_is_written():
        draft.outcome = Outcome.SWITCHED_OFF
    elif not migration.store(place.side.other).transactional:
        draft.outcome = Outcome.LATER
    else:
        draft.outcome = _follow(place)
    if draft.outcome in (Outcome.FAILED, Outcome.DIFFERENT, Outcome.SWITCHED_OFF, Outcome.LATER):
        dirty.mark_keys(migration, [draft.key], side=place.side)
    if draft.outcome is Outcome.LATER:
        transaction.on_commit(lambda: _carry_on(migration, draft.key), robust=True)
    if notice is not None:
        dirty.withdraw(notice)


def _note_first(place: _Place) -> int:
    """The store is written at once, and a rollback does not bring it back: the key is dirty for good before that.

    The applier leaves the notice alone until this write has had its time.
    """
    notice = dirty.mark_for_good(
        place.migration, place.draft.key, side=place.side, not_before=settings().write_patience * 2
    )
    failpoint(AUTHORITY_NOTED)
    return notice


def _put(store: Store[Any, Any], key: Any, document: Any) -> None:
    if document is None:
        store.delete([key])
    else:
        store.save([document])


def _follow(place: _Place) -> Outcome:
    """Write the follower, bring the lineage of the legacy rows in step, and look at both; or undo just that."""
    try:
        try:
            with transaction.atomic(), _hurried():
                return _followed(place)
        except _OvertakenError:
            with transaction.atomic(), _hurried():
                _keep_what_is_written_over(place)
                return _followed(place)
    except (Error, MigrationOpsError, OSError) as error:
        place.sqlstate = sqlstate(error) or type(error).__name__
        return Outcome.FAILED


class _OvertakenError(MigrationOpsError):
    """The follower was changed past the app after the document was loaded."""


def _followed(place: _Place) -> Outcome:
    migration, draft = place.migration, place.draft
    if place.side is Side.MODERN:
        _put(migration.legacy(), draft.key, draft.document)
        _refuse_if_overtaken(place)
        rows = carry.record_rows(migration, [draft.key])
        carry.keep_legacy_ids(migration, rows, Batch([] if draft.document is None else [draft.document]))
        in_legacy = rows.by_key().get(draft.key)
    else:
        in_legacy = carry.record_rows(migration, [draft.key]).by_key().get(draft.key)
        _put(migration.modern(), draft.key, in_legacy)  # with what legacy made of it, such as new ids
        _refuse_if_overtaken(place)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is deferred would fail the user's commit
    failpoint(FOLLOWED)
    return Outcome.BOTH if _verified(place, in_legacy) else Outcome.DIFFERENT


def _refuse_if_overtaken(place: _Place) -> None:
    """Now that the follower's rows are locked, whoever changed them since they were loaded is on the dirty list."""
    notices = dirty.speaking_of(place.migration, [place.migration.encode_key(place.draft.key)])
    news = {notice for notice, _, side in notices if side is place.side.other} - place.seen
    if news:
        place.seen |= news
        raise _OvertakenError


def _keep_what_is_written_over(place: _Place) -> None:
    """Both sides changed: the authority wins, and what the other one said is kept for a person to see."""
    document = place.draft.document
    winning: Batch[Any, Any] = Batch(documents=[] if document is None else [document])
    carry.keep_images(place.migration, place.side.other, [place.draft.key], winning, dirty.now())


def _verified(place: _Place, in_legacy: Any) -> bool:
    """Whether both stores say the same now, for the share of writes that is looked at."""
    if random.random() * 100 >= settings().dual_write_verified_percent:  # noqa: S311 - a sample, no secret
        return True
    in_modern = place.migration.modern().load([place.draft.key]).by_key().get(place.draft.key)
    return (in_legacy is None) == (place.draft.document is None) and not judge(
        place.migration, in_legacy, in_modern
    ).kind.is_difference


@contextmanager
def _hurried() -> Iterator[None]:
    """Within a savepoint: nothing here may keep a user waiting for longer than `follower_patience`.

    A rollback to the savepoint takes the limits back as well.
    """
    patience = settings().follower_patience
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),"
            " set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
            [milliseconds(patience), milliseconds(patience * _A_LITTLE_MORE)],
        )
        lock, statement, *_ = cursor.fetchone()
    with bounded_by(patience):
        yield
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)", [lock, statement]
        )


def _carry_on(migration: AnyMigration, key: Any) -> None:
    """Write the follower that is no part of the transaction, now that the authority has committed."""
    with bounded_by(settings().follower_patience):
        applier.apply_keys(migration, [key])
