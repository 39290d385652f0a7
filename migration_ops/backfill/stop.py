"""Ctrl-C and SIGTERM, noted and obeyed between two batches."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
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


@contextmanager
def on_signals() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM for as long as this lasts.

    A second Ctrl-C does not wait for the batch to end. The SIGTERM that a worker gets from its parent right after the
    terminal's SIGINT does.

    Only the main thread can do that; elsewhere nothing is noted.
    """
    stop = Stop()
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
