"""For how long something is tried again that others may be in the way of."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

from migration_ops.sentence import said

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"

_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.05


_bound: ContextVar[timedelta | None] = ContextVar("migration_ops.patience.bound", default=None)


@contextmanager
def bounded_by(limit: timedelta) -> Iterator[None]:
    """Within this block nothing that asks `bounded` waits for longer than this."""
    token = _bound.set(bounded(limit))
    try:
        yield
    finally:
        _bound.reset(token)


def bounded(usual: timedelta) -> timedelta:
    """How long to wait for others where one would usually wait for `usual`: for what no `lock_timeout` governs."""
    bound = _bound.get()
    return usual if bound is None else min(usual, bound)


def sqlstate(error: BaseException) -> str:
    """The five characters the server or driver gave, or "" where the driver itself complained."""
    for candidate in (error, error.__cause__):
        state = getattr(candidate, "sqlstate", None)
        if isinstance(state, str):
            return state
    return ""


def cause(error: BaseException) -> str:
    """By what an error is counted: its SQLSTATE, or the name of its class where it has none."""
    return sqlstate(error) or type(error).__name__


def milliseconds(duration: timedelta) -> str:
    """The duration as `lock_timeout` and its like want it; never `0ms`, which would mean for ever."""
    return f"{max(1, round(duration.total_seconds() * 1000))}ms"


class Patience:
    """Counts from when it is made; its pauses are of random length, so that two who wait do not keep step."""

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit
        self._started = time.monotonic()

    @property
    def _share(self) -> float:
        return (time.monotonic() - self._started) / self._limit.total_seconds()

    @property
    def is_half_over(self) -> bool:
        return self._share >= 0.5

    @property
    def is_over(self) -> bool:
        return self._share >= 1

    def pause(self) -> None:
        time.sleep(random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE))  # noqa: S311 - no secret

    def __str__(self) -> str:
        return said("%(n)s s", n=f"{time.monotonic() - self._started:.1f}")
