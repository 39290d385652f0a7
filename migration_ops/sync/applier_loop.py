"""Keeps the applier running for as long as somebody wants it, through calls, silence and a server that goes away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

import psycopg
from django.db import Error, connection

from migration_ops.backfill.errors import Backoff
from migration_ops.backfill.stop import Stop
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import MigrationOpsError, first_line
from migration_ops.observe import heartbeat, metrics
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.measures import LagOutcome, What
from migration_ops.observe.metrics import Measured
from migration_ops.sync import applier, dirty
from migration_ops.sync.listener import Listener

_REMEMBERED_LAGS = 10_000
_RECONNECT = Backoff(first=0.1, longest=5.0)


class ApplierLoop:
    """Works off the list whenever called, and every `sync_poll` at the latest, until told to stop.

    It counts how long each change took. Every `sync_heartbeat` it calls itself, as whoever writes does, and counts how
    long that took to be heard, the batch it was busy with included: so it is known how soon it turns to a change, also
    while there is none.

    Attributes:
        total: what was done so far; of the lags only the last ten thousand.
    """

    def __init__(self, migration: AnyMigration, *, stop: Stop, say: Callable[[str], None]) -> None:
        self._migration = migration
        self._stop = stop
        self._say = say
        self._said = ""
        self._lags: deque[float] = deque(maxlen=_REMEMBERED_LAGS)
        self._deadline = float("inf")
        self._beat_due = 0.0
        self.total = applier.Applied()

    def run(self, *, seconds: float | None = None) -> applier.Applied:
        """Work off the list until it is told to stop, or for so many seconds. Stops between batches.

        Outlives a restart of PostgreSQL, and waits while the migration is at a stage without capture or its legacy
        store cannot be read, such as a file that is away for a moment; each is said once.
        """
        self._deadline = float("inf") if seconds is None else monotonic() + seconds
        attempt = 0
        while not self._stopping():
            try:
                with Listener() as listener:
                    attempt = 0
                    self._listen(listener)
            except (Error, psycopg.Error) as error:
                attempt += 1
                connection.close()
                self._mention(f"The database is not there ({first_line(error)}); trying again.")
                self._stop.wait(min(_RECONNECT.delay(attempt, 0.0), self._left()))
        metrics.flush()
        self.total.failed = dirty.failing(self._migration)
        self.total.remaining = dirty.remaining(self._migration)
        self.total.lags = list(self._lags)
        return self.total

    def _listen(self, listener: Listener) -> None:
        while not self._stopping():
            if monotonic() >= self._beat_due:
                self._beat_due = monotonic() + settings().sync_heartbeat.total_seconds()
                listener.call()
            at_work = self._drain()
            listener.wait(self._left())
            if at_work:
                self._beat(listener.echo())

    def _drain(self) -> bool:
        """Work off the list; whether the stores could be kept in step at all."""
        try:
            done = applier.drain(self._migration, stop=self._stopping)
        except MigrationOpsError as problem:
            self._mention(str(problem))
            return False
        self._mention("")
        self.total.applied += done.applied
        self._lags.extend(done.lags)
        for lag in done.lags:
            self._count(What.CHANGE, lag / 1000)
        return True

    def _beat(self, echo: float | None) -> None:
        """Say that the list is being worked off and calls are heard, and write down what was counted."""
        if echo is not None:
            self._count(What.HEARTBEAT, echo)
            heartbeat.beat(self._migration, Role.APPLIER)
            metrics.flush()

    def _count(self, what: What, seconds: float) -> None:
        late = seconds > settings().sync_lag_limit.total_seconds()
        outcome = LagOutcome.LATE if late else LagOutcome.IN_TIME
        metrics.add(self._migration, Measured(what, outcome=outcome), seconds=seconds)

    def _stopping(self) -> bool:
        return self._stop.requested or monotonic() >= self._deadline

    def _left(self) -> float:
        return max(0.0, min(self._deadline - monotonic(), settings().sync_poll.total_seconds()))

    def _mention(self, sentence: str) -> None:
        """Say a sentence once, not every second."""
        if sentence and sentence != self._said:
            self._say(sentence)
        self._said = sentence
