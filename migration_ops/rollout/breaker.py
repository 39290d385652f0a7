"""A circuit breaker: a store that failed often is left alone for a moment, then tried with one call; pure.

The clock is passed in. Calls may come from several threads.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True)
class Limits:
    """Opens after `failures` within `window` seconds, and lets one call try after `pause` seconds, and after every
    further pause."""

    failures: int
    window: float
    pause: float


class Breaker:
    """Ask `allows` before a call, and say `succeeded` or `failed` after it; `now` are seconds of a clock that only goes
    forward."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failures: deque[float] = deque(maxlen=limits.failures)
        self._next_try: float | None = None
        self._trying = False
        self._lock = Lock()

    def allows(self, now: float) -> bool:
        """Whether the store may be called. While it is left alone, one caller a pause is told yes, to try it."""
        with self._lock:
            if self._next_try is None:
                return True
            if now < self._next_try:
                return False
            self._next_try = now + self._limits.pause
            self._trying = True
            return True

    def failed(self, now: float) -> None:
        """A call failed."""
        with self._lock:
            if self._next_try is not None:
                self._next_try = now + self._limits.pause
                self._trying = False
                return
            self._failures.append(now)
            if len(self._failures) == self._limits.failures and now - self._failures[0] <= self._limits.window:
                self._next_try = now + self._limits.pause

    def succeeded(self) -> None:
        """A call succeeded. One that had begun before the store was left alone says nothing about it now."""
        with self._lock:
            if self._trying:
                self._next_try, self._trying = None, False
                self._failures.clear()
