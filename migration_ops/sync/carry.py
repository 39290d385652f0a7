"""Carries documents of given keys from the side where they changed to the other, inside the caller's transaction.

The caller holds the keys' locks. A document is written where it exists, deleted where its own side has nothing left of
it, and left alone where that side still has something that cannot be represented, unless that side decides.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import DatabaseError, OperationalError, connection, transaction

from migration_ops.backfill.errors import Kind, kind
from migration_ops.definition import AnyMigration, Batch, KeepsLegacyIds, LoadsRows, Side
from migration_ops.failpoints import failpoint, label
from migration_ops.models import BeforeImage
from migration_ops.sync import bookkeeping, dirty, imported, merges, refusals
from migration_ops.verify.compare import judge

_LOADED = label("applier.loaded")
_SAVED = label("applier.saved")
_RECORDED = label("applier.recorded")
_SET_ASIDE = label("applier.set_aside")

CONFLICT = "conflict"
"""Why a before-image was kept: both sides had changed."""

_ACTOR = "applier"


class HeldBackError(DatabaseError):
    """The document changed in the modern store, but rows of it in the legacy store wait for a person."""


class NotRepresentedError(DatabaseError):
    """Modern says something that the legacy store has no place for."""


class OvertakenError(OperationalError):
    """What was to be written over had changed past the app at the last moment; the same again knows of it."""

    sqlstate = "40001"


def overtaken(side: Side) -> OvertakenError:
    """What to raise where something that this side says would be written over unseen."""
    return OvertakenError(f"What the {side} store says was changed while it was to be written over.")


def from_legacy(
    migration: AnyMigration, keys: Collection[Any], *, conflicts: Collection[Any], at: datetime, decides: bool = False
) -> None:
    """Make modern what legacy says of these keys, and lineage, quarantine and merges too.

    Args:
        conflicts: those of the keys that had changed in modern as well; what it said is kept as a before-image.
        at: the moment to write beside it.
        decides: legacy is in authority. Then a document that cannot be represented has no copy in modern either: an
            older one would pass for the truth.

    What is nowhere in legacy, and in modern from a file, is none of legacy's business and stays.

    Raises:
        OvertakenError: modern changed as well, and the caller did not know it; undo everything.
    """
    if not keys:
        return
    legacy, modern = migration.legacy(), migration.modern()
    batch = legacy.load(keys, lock=True)
    failpoint(_LOADED)
    left_behind = refusals.leave_behind(migration, batch)
    there = batch.by_key()
    undecided = {said.key for said in batch.rejections if not said.accepted} | left_behind
    nowhere = set(keys) - there.keys() - undecided
    gone = set(keys) - there.keys() if decides else legacy.absent(nowhere) if nowhere else set()
    nothing = nowhere - {said.key for said in batch.rejections}
    gone -= imported.of_others(migration, nothing & gone).keys()
    known = _noticed(migration, Side.MODERN, conflicts)
    if conflicts:
        keep_images(migration, Side.MODERN, set(conflicts) & (there.keys() | gone), batch, at)
    if there:
        modern.save(batch.documents)
    if gone:
        modern.delete(gone)
    failpoint(_SAVED)
    _refuse_if_overtaken(migration, Side.MODERN, keys, known)
    bookkeeping.record(migration, batch, looked_at=keys)
    merges.forget(migration, set(keys) - there.keys())
    failpoint(_RECORDED)


def from_legacy_or_set_aside(
    migration: AnyMigration, keys: Collection[Any], *, conflicts: Collection[Any], at: datetime, decides: bool = False
) -> None:
    """As `from_legacy`, document by document; the rows of one that the modern database refuses go into quarantine.

    Raises:
        DatabaseError: something else is wrong than what a document says.
    """
    for key in keys:
        mine = {key} & set(conflicts)
        try:
            with transaction.atomic():
                from_legacy(migration, {key}, conflicts=mine, at=at, decides=decides)
                connection.check_constraints()
        except DatabaseError as error:
            if kind(error) is not Kind.ROW:
                raise
            batch = migration.legacy().load([key], lock=True)
            document = batch.by_key().get(key)
            if document is None:
                raise
            refusals.set_aside(migration, document, batch, error)
            if decides:
                keep_images(migration, Side.MODERN, mine, Batch(), at)
                migration.modern().delete([key])
            failpoint(_SET_ASIDE)


def from_modern(migration: AnyMigration, keys: Collection[Any], *, conflicts: Collection[Any], at: datetime) -> None:
    """Make legacy what modern says of these keys, and bring lineage and merges in step with the rows that came of it.

    Raises:
        HeldBackError: rows of a document are in quarantine; a person decides on them as they are.
        OvertakenError: legacy changed as well, and the caller did not know it; undo everything.
    """
    if not keys:
        return
    legacy, modern = migration.legacy(), migration.modern()
    before = legacy.load(keys, lock=True)
    held = next((said for said in before.rejections if not said.accepted), None)
    if held is not None:
        raise HeldBackError(f"Row {held.row} of the legacy store is in quarantine ({held.code}); decide on it first.")
    if not legacy.captured_tables:
        conflicts = set(conflicts) | bookkeeping.unlike(migration, before)
    known = _noticed(migration, Side.LEGACY, conflicts, [link.row for link in before.links if link.key in conflicts])
    _refuse_if_overtaken(migration, Side.LEGACY, keys, known, [link.row for link in before.links])
    batch = modern.load(keys, lock=True)
    failpoint(_LOADED)
    gone = set(keys) - batch.by_key().keys()
    if conflicts:
        keep_images(migration, Side.LEGACY, set(conflicts), batch, at)
    if batch.documents:
        legacy.save(batch.documents)
    if gone:
        legacy.delete(gone)
    failpoint(_SAVED)
    written = record_rows(migration, keys)
    keep_legacy_ids(migration, written, batch)
    _refuse_if_not_represented(migration, written, batch)
    if legacy.transactional:  # also a row that was added after they were loaded
        _refuse_if_overtaken(migration, Side.LEGACY, keys, known)
    failpoint(_RECORDED)


def _refuse_if_not_represented(migration: AnyMigration, in_legacy: Batch[Any, Any], in_modern: Batch[Any, Any]) -> None:
    """Legacy has no place for everything that plain SQL can write into modern. What it has no place for stays on the
    list, and with that in modern, until a person has changed it; ticked off, nobody would miss it before a way back."""
    said = in_legacy.by_key()
    for document in in_modern.documents:
        written = said.get(document.key)
        if written == document:
            continue
        fields = judge(migration, written, document).fields
        if fields or written is None:
            where = ", ".join(field.path for field in fields[:5]) or "the whole document"
            raise NotRepresentedError(f"The legacy store has no place for what modern says: {where}.")


def _noticed(migration: AnyMigration, side: Side, keys: Collection[Any], rows: Collection[str] = ()) -> set[int]:
    """The notices that say that these documents changed on this side.

    Args:
        rows: theirs in legacy, as far as they are known; one that was just added has no lineage yet.
    """
    if not keys:
        return set()
    notices = dirty.speaking_of(migration, [migration.encode_key(key) for key in keys])
    return {notice for notice, _, changed in notices if changed is side} | dirty.naming(migration, rows)


def _refuse_if_overtaken(
    migration: AnyMigration, side: Side, keys: Collection[Any], known: set[int], rows: Collection[str] = ()
) -> None:
    """Whoever changed on `side` what is locked by now is on the dirty list.

    Args:
        keys: the documents that are written over on this side; `rows` as for `_noticed`.
        known: notices about them of which an image is made.
    """
    if _noticed(migration, side, keys, rows) - known:
        raise overtaken(side)


def keep_legacy_ids(migration: AnyMigration, in_legacy: Batch[Any, Any], in_modern: Batch[Any, Any]) -> None:
    """Tell modern what legacy calls the parts of documents that were carried over from modern: writing them may have
    made new rows and ids. Where a document differs in what it says, nothing is told."""
    modern = migration.modern()
    if not isinstance(modern, KeepsLegacyIds):
        return
    said = in_modern.by_key()
    unlike = [
        document
        for document in in_legacy.documents
        if document == said.get(document.key) and migration.differences(document, said[document.key])
    ]
    if unlike:
        modern.keep_legacy_ids(unlike)


def record_rows(migration: AnyMigration, keys: Collection[Any], *, among: Collection[str] = ()) -> Batch[Any, Any]:
    """Bring lineage, quarantine and merges in step with the legacy rows these keys have after they were written; those
    rows.

    Args:
        among: where they are known to be among these, their ids; a row that others added meanwhile brings a notice of
            its own.
    """
    legacy = migration.legacy()
    after = legacy.load_rows(keys, among) if among and isinstance(legacy, LoadsRows) else legacy.load(keys)
    unsaid = bookkeeping.record(migration, after, looked_at=keys)
    merges.forget(migration, set(keys) - after.by_key().keys())
    if unsaid:
        bookkeeping.forget(migration, unsaid - migration.legacy().keys_of(unsaid).keys())
    return after


def keep_images(
    migration: AnyMigration, side: Side, keys: Collection[Any], winning: Batch[Any, Any], at: datetime
) -> None:
    """Keep what `side` says of these keys, where it is not what the winning side says."""
    if not keys:
        return
    documents = winning.by_key()
    BeforeImage.objects.bulk_create(
        BeforeImage(
            migration=migration.name,
            side=side.value,
            key=migration.encode_key(key),
            image=migration.image(loser),
            cause=CONFLICT,
            actor=_ACTOR,
            at=at,
        )
        for key, loser in migration.store(side).load(keys).by_key().items()
        if documents.get(key) != loser
    )
