"""What a write begins from: the document as the store that has the word says it, or legacy, where that is modern and
modern cannot be read."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.db import Error, OperationalError

from migration_ops.backfill.errors import Kind, kind
from migration_ops.definition import AnyMigration, Batch, Side, Store
from migration_ops.exceptions import MigrationOpsError
from migration_ops.locks import lock_tables_for_writing
from migration_ops.patience import LOCK_NOT_AVAILABLE, sqlstate
from migration_ops.rollout import fallback
from migration_ops.rollout.routing import Decision, Reason
from migration_ops.sync import dirty

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Who has the word for a write, the store that is to be written, and what it says.

    Attributes:
        store: the one that loaded the document: it may know what it must not write over.
        blocked: the SQLSTATE with which the other store has just kept this write waiting in vain, if it did.
    """

    decision: Decision
    store: Store[Any, Any]
    found: Batch[Any, Any]
    blocked: str = ""


def loaded(migration: AnyMigration, key: Any, decision: Decision) -> Beginning:
    """The document of this key, locked, for a caller who holds the key's lock; and who has the word for this write.

    Legacy takes it where modern fails, if it knows everything about the key: then the key is on the dirty list with
    legacy's side as soon as the follower's write has failed as well.

    Raises:
        Exception: what the store that has the word raised, where no other may take it.
    """
    store = migration.store(decision.side)
    if not fallback.is_possible(decision):
        return Beginning(decision, store, store.load([key], lock=True))
    legacy = migration.legacy()
    if fallback.modern_is_left_alone(migration):
        known = _all_that_counts(migration, legacy, key)
        if known is not None:
            return Beginning(fallback.by_legacy(decision, Reason.BREAKER), legacy, known)
        return Beginning(decision, store, _from_modern(migration, store, key))
    try:
        return Beginning(decision, store, _from_modern(migration, store, key))
    except Exception as failure:
        found = _from_legacy(migration, legacy, key, failure)
        logger.warning("Modern could not be read, and a write began from legacy.", exc_info=failure)
        return Beginning(fallback.by_legacy(decision, Reason.FALLBACK), legacy, found, blocked_by(failure))


def blocked_by(failure: Exception) -> str:
    """The SQLSTATE of this failure where it was a wait in vain: whoever asks the same store again waits once more."""
    return sqlstate(failure) if isinstance(failure, Error) and kind(failure) is Kind.BLOCKED else ""


def _from_modern(migration: AnyMigration, modern: Store[Any, Any], key: Any) -> Batch[Any, Any]:
    """Somebody who holds the very row may be changing it past the app: he is waited for as ever, not written over."""
    tables_are_free = False
    with fallback.reported(migration):
        try:
            with fallback.hurried():
                lock_tables_for_writing([each.table for each in modern.captured_tables])
                tables_are_free = True
                return modern.load([key], lock=True)
        except OperationalError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE or not tables_are_free:
                raise
    return modern.load([key], lock=True)


def _from_legacy(migration: AnyMigration, legacy: Store[Any, Any], key: Any, failure: Exception) -> Batch[Any, Any]:
    try:
        found = _all_that_counts(migration, legacy, key)
    except (Error, MigrationOpsError, OSError) as second:
        raise failure from second
    if found is None:
        raise failure
    return found


def _all_that_counts(migration: AnyMigration, legacy: Store[Any, Any], key: Any) -> Batch[Any, Any] | None:
    """What legacy says of the key; None where modern alone knows something: a change that was not carried over, or the
    document, because a row of it in legacy cannot be represented."""
    if dirty.pending(migration, Side.MODERN, [migration.encode_key(key)]):
        return None
    found = legacy.load([key], lock=True)
    return None if any(not said.accepted for said in found.rejections) else found
