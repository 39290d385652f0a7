"""A sign of life from whoever reads a large file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import BinaryIO

_INTERVAL = 1.0
"""Seconds: often enough for any lease, seldom enough to cost nothing."""


class Pulse:
    """Calls `working` when it is called itself and a second has passed since."""

    def __init__(self, working: Callable[[], None]) -> None:
        self._working = working
        self._last = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last >= _INTERVAL:
            self._last = now
            self._working()


class Watched:
    """A stream that gives a sign of life with every read.

    Attributes:
        pulse: for whoever goes on working with what was read.
    """

    def __init__(self, stream: BinaryIO, pulse: Pulse) -> None:
        self.pulse = pulse
        self._stream = stream

    def read(self, size: int) -> bytes:
        self.pulse()
        return self._stream.read(size)
