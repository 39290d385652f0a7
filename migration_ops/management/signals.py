"""How a command that stays ends: with what it has in hand done first."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from types import FrameType

from migration_ops.management.base import Terminated


@contextmanager
def stopping_on_signals(stop: Event) -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM set `stop`, and nothing else; the signals that came, in order."""
    received: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        stop.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ended_by(received: Sequence[int]) -> KeyboardInterrupt:
    """What to raise after these signals, so that the exit code says which it was."""
    return Terminated() if signal.SIGTERM in received else KeyboardInterrupt()
