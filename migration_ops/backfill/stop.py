"""Ctrl-C and SIGTERM, noted and obeyed between two batches."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether this process was told to stop; waiting ends early when it is."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        return self._told.is_set()

    def request(self, signum: int | None = None) -> None:
        self.signal = signum
        self._told.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until told to stop; whether it was told."""
        return self._told.wait(seconds)

    def deliver(self) -> None:
        """Now that everything is tidy, let the signal do what it would have done."""
        if self.signal is not None:
            signal.raise_signal(self.signal)


class Deadline(Stop):
    """Also stops when its time is up.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._end = clock() + seconds

    @property
    def requested(self) -> bool:
        return super().requested or self._clock() >= self._end

    def wait(self, seconds: float) -> bool:
        self._told.wait(max(0.0, min(seconds, self._end - self._clock())))
        return self.requested

    def lift(self) -> None:
        """From now on only a signal stops it."""
        self._end = math.inf


@contextmanager
def on_signals(stop: Stop | None = None) -> Iterator[Stop]:
    """Note SIGINT and SIGTERM for as long as this lasts, in this `stop` or in a new one.

    A second Ctrl-C does not wait for the batch to end. The SIGTERM that a worker gets from its parent right after the
    terminal's SIGINT does.

    Only the main thread can do that; elsewhere nothing is noted.
    """
    stop = stop or Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(signum: int, frame: FrameType | None) -> None:
        if stop.requested and signum == signal.SIGINT:
            raise KeyboardInterrupt
        stop.request(signum)

    before = {signum: signal.signal(signum, note) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
