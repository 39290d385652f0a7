"""Looks at something that may hang, without letting whoever asked hang with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class NotInTime(Exception):
    """No answer within the patience of whoever asked."""


class Lookout(Generic[Seen]):
    """One thread at a time that looks; all who ask meanwhile get what it sees.

    However many probes come while a server hangs, one thread and one connection wait for it.

    Args:
        look: what the thread does; it must give up by itself sooner or later.
    """

    def __init__(self, look: Callable[[], Seen]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._seen: Future[Seen] | None = None

    def begin(self) -> Future[Seen]:
        """Look, unless somebody does at this moment."""
        with self._lock:
            if self._seen is None or self._seen.done():
                self._seen = Future()
                self._seen.set_running_or_notify_cancel()  # from here on nobody who loses patience can cancel it
                thread = threading.Thread(target=self._run, args=[self._seen], name="migration_ops.health", daemon=True)
                thread.start()
            return self._seen

    def _run(self, seen: Future[Seen]) -> None:
        try:
            found = self._look()
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            seen.set_exception(error)
        else:
            seen.set_result(found)


async def wait_for(seen: Future[Seen], patience: timedelta) -> Seen:
    """What was seen.

    Raises:
        NotInTime: it takes longer.
        Exception: whatever the look raised.
    """
    try:
        return await asyncio.wait_for(asyncio.wrap_future(seen), patience.total_seconds())
    except TimeoutError:
        if seen.done():
            return seen.result()
        raise NotInTime from None
