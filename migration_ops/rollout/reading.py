"""Reads documents from the store that has the word for them, whichever that is.

What a unit sees may come from both stores: most of it from the one its unit is served from, and a key that is an
exception (`routing`) from the other. The answer is the same as if one store had all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from migration_ops.definition import AnyMigration, ListsUnits, RowStore, Side, Store
from migration_ops.rollout import routing
from migration_ops.rollout.routing import Decision
from migration_ops.sync import dirty


@dataclass(frozen=True, slots=True)
class Answer:
    """Documents by key, absent ones absent, and which store answered for the unit, or for the one key that was asked.

    Attributes:
        decision: for a single key its own, otherwise the unit's.
    """

    documents: dict[Any, Any]
    decision: Decision


def served(migration: AnyMigration, unit: str) -> Decision:
    """The store that answers for this unit, exceptions apart."""
    return routing.of_unit(migration, unit)


def document(migration: AnyMigration, key: Any) -> Answer:
    """The document of this key."""
    usual = routing.of_unit(migration, migration.unit(key))
    decision = routing.of_keys(migration, [key], usual)[key]
    return Answer(_load(migration, decision.side, [key]), decision)


def documents(migration: AnyMigration, unit: str, wanted: Callable[[Any], bool] = lambda key: True) -> Answer:
    """All documents of this unit whose keys are wanted."""
    usual = routing.of_unit(migration, unit)
    decisions = _decisions(migration, unit, wanted, usual)
    found: dict[Any, Any] = {}
    for side in Side:
        found |= _load(migration, side, [key for key, decision in decisions.items() if decision.side is side])
    return Answer(found, usual)


def keys(migration: AnyMigration, unit: str, wanted: Callable[[Any], bool] = lambda key: True) -> set[Any]:
    """The keys of all documents that `documents` would return; cheaper, since only exceptions are looked at."""
    usual = routing.of_unit(migration, unit)
    decisions = _decisions(migration, unit, wanted, usual)
    plain = {key for key, decision in decisions.items() if decision == usual}
    exceptions = {key: decision.side for key, decision in decisions.items() if decision != usual}
    there: set[Any] = set()
    for side in Side:
        there |= _load(migration, side, [key for key, its in exceptions.items() if its is side]).keys()
    return plain | there


def _decisions(
    migration: AnyMigration, unit: str, wanted: Callable[[Any], bool], usual: Decision
) -> dict[Any, Decision]:
    """For every key of the unit that either is in its usual store or may be an exception."""
    store = migration.store(usual.side)
    if not isinstance(store, ListsUnits):
        raise TypeError(f"The {usual.side} store of {migration.name} cannot list the documents of a unit.")
    found = {key for key in store.keys_of_unit(unit) if wanted(key)}
    exceptions = {migration.decode_key(key) for key in dirty.exceptional(migration, migration.unit_prefix(unit))}
    return routing.of_keys(migration, found | {key for key in exceptions if wanted(key)}, usual)


def _load(migration: AnyMigration, side: Side, wanted: Collection[Any]) -> dict[Any, Any]:
    if not wanted:
        return {}
    store: Store[Any, Any] | RowStore[Any, Any] = migration.modern()
    if side is Side.LEGACY:
        # A row that waits for a person does not hide what the other rows of its document say.
        store = migration.legacy().without_rejected()
    return store.load(wanted).by_key()
