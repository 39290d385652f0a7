"""Reads documents from the store that has the word for them, whichever that is.

What a unit sees may come from both stores: most of it from the one its unit is served from, and a key that is an
exception (`routing`) from the other. The answer is the same as if one store had all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from migration_ops.definition import AnyMigration, ListsUnits, RowStore, Side, Store
from migration_ops.rollout import routing, shadow
from migration_ops.rollout.routing import Decision
from migration_ops.sync import dirty

AnyStore = Store[Any, Any] | RowStore[Any, Any]
Load = Callable[[AnyStore, Collection[Any]], Mapping[Any, Any]]
"""Reads what is wanted of these keys from a store; absent keys are absent."""


def _everything(key: Any) -> bool:
    return True


def whole(store: AnyStore, keys: Collection[Any]) -> dict[Any, Any]:
    """The documents themselves."""
    return store.load(keys).by_key()


@dataclass(frozen=True, slots=True)
class Answer:
    """Documents by key, absent ones absent, and which store answered for the unit, or for the one key that was asked.

    Attributes:
        documents: or what `load` read in their place.
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
    exceptions = [key] if dirty.exceptional_among(migration, [migration.encode_key(key)]) else []
    decision = routing.of_keys(migration, exceptions, usual).get(key, usual)
    answer = Answer(dict(_load(migration, decision.side, [key])), decision)
    shadow.look(migration, decision, lambda side: [key])
    return answer


def documents(
    migration: AnyMigration, unit: str, wanted: Callable[[Any], bool] = _everything, *, load: Load = whole
) -> Answer:
    """All documents of this unit whose keys are wanted.

    Args:
        load: for whoever needs less of them than the whole, which a store may give faster.
    """
    usual = routing.of_unit(migration, unit)
    decisions = _decisions(migration, unit, wanted, usual)
    answer = Answer(_load_each(migration, decisions, load), usual)
    shadow.look(migration, usual, lambda side: _listed(migration, unit, wanted, side))
    return answer


def last(
    migration: AnyMigration,
    unit: str,
    wanted: Callable[[Any], bool],
    *,
    order: Callable[[Any], Any],
    most: int,
    load: Load = whole,
) -> Answer:
    """The last so many of the documents that `documents` would return, in this order of their keys; no others are
    read."""
    usual = routing.of_unit(migration, unit)
    decisions = _decisions(migration, unit, wanted, usual)
    left = sorted(decisions, key=order)
    found: dict[Any, Any] = {}
    while left and len(found) < most:
        # A key that is an exception may have no document, and then makes room for one more.
        place = max(0, len(left) - (most - len(found)))
        found |= _load_each(migration, {key: decisions[key] for key in left[place:]}, load)
        left = left[:place]
    answer = Answer(found, usual)
    shadow.look(migration, usual, lambda side: sorted(_listed(migration, unit, wanted, side), key=order)[-most:])
    return answer


def keys(migration: AnyMigration, unit: str, wanted: Callable[[Any], bool] = _everything) -> set[Any]:
    """The keys of all documents that `documents` would return; cheaper, since only exceptions are looked at."""
    usual = routing.of_unit(migration, unit)
    listed = _listed(migration, unit, wanted, usual.side)
    exceptions = _exceptions(migration, unit, wanted, usual)
    elsewhere = {key: decision for key, decision in exceptions.items() if decision != usual}
    return (listed - elsewhere.keys()) | _load_each(migration, elsewhere, whole).keys()


def _decisions(
    migration: AnyMigration, unit: str, wanted: Callable[[Any], bool], usual: Decision
) -> dict[Any, Decision]:
    """For every key of the unit that either is in its usual store or may be an exception."""
    listed = _listed(migration, unit, wanted, usual.side)
    return dict.fromkeys(listed, usual) | _exceptions(migration, unit, wanted, usual)


def _listed(migration: AnyMigration, unit: str, wanted: Callable[[Any], bool], side: Side) -> set[Any]:
    """The keys that the unit has in this store."""
    store = migration.store(side)
    if not isinstance(store, ListsUnits):
        raise TypeError(f"The {side} store of {migration.name} cannot list the documents of a unit.")
    return set(filter(wanted, store.keys_of_unit(unit)))


def _exceptions(
    migration: AnyMigration, unit: str, wanted: Callable[[Any], bool], usual: Decision
) -> dict[Any, Decision]:
    """For every key of the unit that may be an exception, whether or not there is a document of it."""
    found = map(migration.decode_key, dirty.exceptional(migration, migration.unit_prefix(unit)))
    return routing.of_keys(migration, set(filter(wanted, found)), usual)


def _load_each(migration: AnyMigration, decisions: Mapping[Any, Decision], load: Load) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for side in Side:
        found |= _load(migration, side, [key for key, decision in decisions.items() if decision.side is side], load)
    return found


def _load(migration: AnyMigration, side: Side, wanted: Collection[Any], load: Load = whole) -> Mapping[Any, Any]:
    if not wanted:
        return {}
    store: AnyStore = migration.modern()
    if side is Side.LEGACY:
        # A row that waits for a person does not hide what the other rows of its document say.
        store = migration.legacy().without_rejected()
    return load(store, wanted)
