"""Looks after the database's health for one worker, and says why the worker holds back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from migration_ops.backfill import health
from migration_ops.backfill.health import Advice, Readings, Thresholds, Verdict
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.models import Run

REMEMBERED = 10.0
"""Seconds for which others that were seen at work count as being there. One look in two finds somebody where fifty
requests a second take ten milliseconds each; hardly any ten looks in a row find nobody where there are five."""


def thresholds() -> Thresholds:
    limits = settings()
    return Thresholds(
        replica_lag=limits.hold_replica_lag.total_seconds(),
        lock_waiters=limits.hold_lock_waiters,
        oldest_transaction=limits.hold_transaction_age.total_seconds(),
        longest_hold=limits.hold_longest.total_seconds(),
    )


def watched_tables(migration: AnyMigration) -> tuple[str, ...]:
    """The tables whose users must not suffer."""
    return (*migration.modern_tables, *(captured.table for captured in migration.legacy().captured_tables))


@dataclass(slots=True)
class Monitor:
    """Reads at most once in `interval` seconds; in between a hold lasts and everything else is as well as before.

    Attributes:
        mind_others: whether the backfill goes easy on others that use the database.
    """

    run_id: int
    tables: Sequence[str]
    interval: float
    read: Callable[[int, Sequence[str]], Readings] = health.read
    clock: Callable[[], float] = time.monotonic
    mind_others: bool = True
    _looked: float | None = None
    _held_since: float | None = None
    _others_seen: float | None = None
    _said: str = ""
    _verdict: Verdict = field(default_factory=lambda: Verdict(Advice.GO))

    def look(self) -> Verdict:
        """What to do now; the reason is written to the run whenever it changes."""
        now = self.clock()
        if self._looked is not None and now - self._looked < self.interval:
            return replace(self._verdict, advice=Advice.GO) if self._verdict.advice is Advice.EASE else self._verdict
        self._looked = now
        held = 0.0 if self._held_since is None else now - self._held_since
        readings = self.read(self.run_id, self.tables)
        if readings.others:
            self._others_seen = now
        nice = self.mind_others and self._others_seen is not None and now - self._others_seen < REMEMBERED
        verdict = health.decide(readings, thresholds(), held=held, nice=nice)
        if verdict.advice not in (Advice.HOLD, Advice.CRAWL):
            self._held_since = None
        elif self._held_since is None:
            self._held_since = now
        self.say(verdict.reason)
        self._verdict = verdict
        return verdict

    def say(self, reason: str) -> None:
        """Write why the run holds back; "" when it does not."""
        if reason != self._said:
            Run.objects.filter(pk=self.run_id).update(hold_reason=reason)
            self._said = reason
