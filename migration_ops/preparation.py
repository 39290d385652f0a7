"""What a store does before a transaction, so that nobody waits for it within one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from migration_ops.definition import Prepares, Store


def nobody_waits() -> None:
    """For a caller that holds nothing which could run out meanwhile."""


def prepare(store: Store[Any, Any], working: Callable[[], None] = nobody_waits) -> None:
    """Have the store do now, outside of a transaction, what takes long; does nothing where the store knows of nothing.

    Args:
        working: called about every second as long as it takes, e.g. to renew a lease; what it raises comes out of here.

    Raises:
        UnusableInput, DatabaseError: as the reads that follow would.
    """
    if isinstance(store, Prepares):
        store.prepare(working)
