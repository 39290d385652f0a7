"""Who has the word for the keys of one unit, and how what is asked for is fetched from there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from migration_ops.definition import AnyMigration, RowStore, Side, Store
from migration_ops.rollout import routing
from migration_ops.rollout.routing import Decision

AnyStore = Store[Any, Any] | RowStore[Any, Any]
Load = Callable[[AnyStore, Collection[Any]], Mapping[Any, Any]]
"""Reads what is wanted of these keys from a store; absent keys are absent."""


def whole(store: AnyStore, keys: Collection[Any]) -> dict[Any, Any]:
    """The documents themselves."""
    return store.load(keys).by_key()


class Word:
    """As `routing` has it.

    Attributes:
        usual: the unit's decision, which holds for every key that is no exception.
    """

    def __init__(self, migration: AnyMigration, usual: Decision) -> None:
        self.migration = migration
        self.usual = usual

    def of_keys(self, exceptions: Collection[Any]) -> dict[Any, Decision]:
        """The decision for each of these keys, which may be exceptions."""
        return routing.of_keys(self.migration, exceptions, self.usual)

    def load(self, side: Side, wanted: Collection[Any], load: Load = whole) -> Mapping[Any, Any]:
        """What this store has of these keys for a family to see."""
        if not wanted:
            return {}
        store: AnyStore = self.migration.modern()
        if side is Side.LEGACY:
            # A row that waits for a person does not hide what the other rows of its document say.
            store = self.migration.legacy().without_rejected()
        return load(store, wanted)
