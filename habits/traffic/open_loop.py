"""Sends requests when they are due, whatever became of those before; knows nothing of what a request does.

Several threads take the next arrival each, wait until it is due, and send it. Where all of them are busy, arrivals are
late; that counts as part of their time, so that a store that stalls for a second is seen by everybody who waited.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from migration_ops.backfill.stop import Stop


class Due(Protocol):
    @property
    def at(self) -> float:
        """Seconds after the begin."""


DueT = TypeVar("DueT", bound=Due)


@dataclass(slots=True)
class Times:
    """How long requests took, in seconds from the moment they were due to their answer."""

    seconds: list[float] = field(default_factory=list)

    def percentile(self, percent: int) -> float | None:
        """In milliseconds, by nearest rank; None where nothing was sent."""
        if not self.seconds:
            return None
        return round(sorted(self.seconds)[-(-len(self.seconds) * percent // 100) - 1] * 1000, 2)


def send_all(
    arrivals: Iterator[DueT],
    send: Callable[[DueT, Callable[[], float]], None],
    *,
    threads: int,
    longest: float,
    stop: Stop,
    end_thread: Callable[[], None],
) -> float:
    """Send every arrival, or as many as can be before it is over; how many seconds it took.

    Args:
        send: is handed the arrival and a function that says how many seconds it has taken so far. What it raises ends
            everything.
        threads: at most so many requests are under way.
        longest: nothing is sent later than so many seconds after the begin.
        stop: nothing more is sent once it is told; what is under way is finished.
        end_thread: called in every thread at its end.
    """
    lock = threading.Lock()
    begun = time.monotonic()
    broken = threading.Event()

    def work() -> None:
        try:
            while not stop.requested and not broken.is_set():
                with lock:
                    arrival = next(arrivals, None)
                if arrival is None or time.monotonic() - begun > longest:
                    return
                due = begun + arrival.at
                if (early := due - time.monotonic()) > 0 and stop.wait(early):
                    return
                send(arrival, lambda due=due: time.monotonic() - due)  # type: ignore[misc]
        except BaseException:
            broken.set()
            raise
        finally:
            end_thread()

    with ThreadPoolExecutor(threads, thread_name_prefix="traffic") as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    return time.monotonic() - begun
