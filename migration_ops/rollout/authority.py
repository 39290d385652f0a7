"""Who has the word for the keys of one unit, and how what is asked for is fetched from there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from migration_ops.definition import AnyMigration, Side, Store
from migration_ops.rollout import routing
from migration_ops.rollout.routing import Decision

Load = Callable[[Store[Any, Any], Collection[Any]], Mapping[Any, Any]]
"""Reads what is wanted of these keys from a store; absent keys are absent."""


def whole(store: Store[Any, Any], keys: Collection[Any]) -> dict[Any, Any]:
    """The documents themselves."""
    return store.load(keys).by_key()


def shown(migration: AnyMigration, side: Side) -> Store[Any, Any]:
    """This store as families see it: a row that waits for a person does not hide what its document says elsewhere."""
    return migration.legacy().without_rejected() if side is Side.LEGACY else migration.modern()


class Authority:
    """The store that has the word for one unit, and the keys that are exceptions; as `routing` decides.

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
        return load(shown(self.migration, side), wanted)
