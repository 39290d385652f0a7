"""Reads from one store alone, for whoever compares the two: what `DATA_BACKEND` does to a process, for one block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from migration_ops.definition import Side

_pinned: ContextVar[Side | None] = ContextVar("migration_ops_pinned", default=None)


@contextmanager
def pinned(side: Side) -> Iterator[None]:
    """Within this block, this thread's or task's reads are answered as if `DATA_BACKEND` named this store; blocks nest.

    As with the setting, only reads are meant, and a key with a row in quarantine is still legacy's.
    """
    token = _pinned.set(side)
    try:
        yield
    finally:
        _pinned.reset(token)


def here() -> Side | None:
    """The store to which the surrounding block pins its reads; None outside of any."""
    return _pinned.get()
