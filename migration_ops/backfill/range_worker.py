"""One worker on one range: batch after batch, whatever the database does meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Protocol, TypeVar

from django.db import DatabaseError, Error, connection

from migration_ops import run_requests
from migration_ops.backfill import batch, errors, probe
from migration_ops.backfill import lease as leases
from migration_ops.backfill.batch import Job, Place
from migration_ops.backfill.batch_size import BatchSize
from migration_ops.backfill.bisection import Bisection
from migration_ops.backfill.errors import Action, Backoff, Kind
from migration_ops.backfill.health import Advice
from migration_ops.backfill.lease import Lease
from migration_ops.backfill.monitor import Monitor, watched_tables
from migration_ops.backfill.stop import Stop
from migration_ops.conf import settings
from migration_ops.exceptions import DatabaseGone, MigrationOpsError, RunPaused
from migration_ops.models import Run
from migration_ops.preparation import prepare

ResultT = TypeVar("ResultT")

RECONNECT = 0.5
"""Seconds between two attempts to connect."""


class Ending(StrEnum):
    """Why a worker stopped."""

    DONE = "done"
    LIMIT = "limit"
    PAUSE = run_requests.PAUSE
    CANCEL = run_requests.CANCEL
    FAIL = run_requests.FAIL
    STOPPED = "stopped"


class Beat(Protocol):
    """Called between batches by whoever speaks for the whole run as well; `now` when it cannot wait."""

    def __call__(self, *, now: bool = False) -> None: ...


def patiently(stop: Stop, call: Callable[[], ResultT]) -> ResultT | Ending:
    """What `call` returns, called again while the database is gone; `STOPPED` when told to stop meanwhile.

    Raises:
        DatabaseGone: it did not come back in time.
    """
    deadline = time.monotonic() + settings().reconnect_patience.total_seconds()
    while not stop.requested:
        try:
            return call()
        except Error as error:
            if errors.kind(error) is not Kind.DISCONNECTED:
                raise
            connection.close()
            if time.monotonic() > deadline:
                raise DatabaseGone(
                    f"The database is gone: {errors.sentence(error)}. What was committed stays;"
                    " run `manage.py backfill` again when it is back."
                ) from error
            stop.wait(RECONNECT)
    return Ending.STOPPED


@dataclass(slots=True)
class RangeWorker:
    """Works on one range until it is done.

    Attributes:
        failures: attempts in a row that came to nothing.
        alone: how many of them, up to the latest, were at one row.
        rows: size of the latest attempt.
        place: how far the range is; None when the database has to be asked.
        todo: what the latest failure asks for before the next batch.
        refusal: why the next row's document is set aside.
        nice: whether others use the database, so that the worker rests after every batch.
    """

    job: Job
    lease: Lease
    size: BatchSize
    stop: Stop
    beat: Beat
    jitter: Callable[[], float] = random.random
    bisection: Bisection = field(default_factory=Bisection)
    failures: int = 0
    alone: int = 0
    rows: int = 0
    place: Place | None = None
    todo: Callable[[], Ending | None] | None = None
    refusal: DatabaseError | None = None
    nice: bool = False
    monitor: Monitor = field(init=False)

    def __post_init__(self) -> None:
        limits = settings()
        self.monitor = Monitor(
            self.job.run_id,
            watched_tables(self.job.migration),
            limits.hold_poll.total_seconds(),
            mind_others=limits.nice_ratio > 0,
        )

    def run(self) -> Ending:
        """Batch after batch.

        Raises:
            LeaseLost: another process has taken the range.
            Refused: the stage no longer allows a backfill.
            RunPaused: the database has no room, or a row or key stays locked; a person must look.
            MigrationOpsError: it cannot go on; the message says why.
        """
        while not self.stop.requested:
            try:
                ending = self._step()
            except Error as error:
                self._recover(error)
            else:
                if ending is not None:
                    return ending
        return Ending.STOPPED

    def leave(self) -> None:
        """Give the range back, if the database can be reached; otherwise its lease ends with the connection."""
        try:
            leases.release(self.lease)
        except Error:
            connection.close()

    def _step(self) -> Ending | None:
        if self.todo is not None:
            todo, self.todo = self.todo, None
            return todo()
        if self.place is None:
            self.place = Place.read(self.lease)
            self._take_up(self.place)
        if self.place.done:
            return Ending.DONE
        self.beat()
        verdict = self.monitor.look()
        if verdict.advice is Advice.HOLD:
            return self._hold()
        self._mind_others(verdict.nice)
        if verdict.advice is Advice.EASE:
            self.size = self.size.halved(self.size.size)
        if verdict.advice is Advice.CRAWL:
            self.size = self.size.smallest()
        limit = self.job.limit
        left = self.size.size if limit is None else limit - self.place.counters.rows_read
        if left < 1:
            return Ending.LIMIT
        self.rows = self.bisection.limit(min(self.size.size, left))
        return self._batch(self.place)

    def _mind_others(self, nice: bool) -> None:
        """A batch that is as short as a request makes few wait, and the rest after it lets those get through."""
        self.nice = nice
        limits = settings()
        target = min(limits.nice_batch_target, limits.batch_target) if nice else limits.batch_target
        self.size = self.size.aimed(target.total_seconds())

    def _take_up(self, place: Place) -> None:
        """Go on with the size the range had, after a crash or in another process."""
        if place.batch_size is not None and self.size.target is not None and self.size.rate is None:
            within = min(max(place.batch_size, self.size.minimum), self.size.maximum)
            self.size = replace(self.size, size=within)

    def _batch(self, place: Place) -> Ending | None:
        prepare(self.job.legacy(), self._keep_lease)
        began = time.monotonic()
        rest = settings().nice_ratio if self.nice else 0.0
        speed = round((self.size.rate or 0.0) / (1 + rest), 1)
        step = batch.run(self.job, self.lease, place, self.rows, size=self.size.size, speed=speed)
        if step.requested:
            return Ending(step.requested)
        self.place = step.place
        self.bisection = self.bisection.passed(step.rows, size=self.size.size)
        took = time.monotonic() - began
        self.size = self.size.after(rows=step.rows, seconds=took)
        if self.failures:
            self.failures = self.alone = 0
            self.monitor.say("")
        if rest and not self.place.done:
            self.stop.wait(min(took * rest, self.monitor.interval))
        return None

    def _keep_lease(self) -> None:
        """Whatever a store does before a batch, this process is still there."""
        leases.renew(self.lease)
        self.beat()

    def _hold(self) -> Ending | None:
        leases.renew(self.lease)
        requested = Run.objects.values_list("requested", flat=True).get(pk=self.job.run_id)
        if requested:
            return Ending(requested)
        self.stop.wait(self.monitor.interval)
        return None

    def _recover(self, error: Error) -> None:
        """Do what the error asks for; afterwards look anew at what was committed."""
        self.place = None
        self.failures += 1
        self.alone = self.alone + 1 if self.rows == 1 else 0
        limits = settings()
        backoff = Backoff(
            first=limits.retry_first_delay.total_seconds(), longest=limits.retry_longest_delay.total_seconds()
        )
        problem = errors.kind(error)
        decision = errors.decide(
            problem,
            attempt=self.failures,
            alone=self.alone,
            rows=self.rows,
            suspects=self.bisection.suspects,
            retries=limits.retries,
            backoff=backoff,
            jitter=self.jitter(),
        )
        said = errors.sentence(error)
        refusal, self.refusal = self.refusal, None
        match decision.action:
            case Action.PAUSE:
                raise RunPaused(_pause(problem, said)) from error
            case Action.BISECT:
                self.bisection = self.bisection.refused(self.rows)
            case Action.SET_ASIDE if problem is Kind.CONFLICT and isinstance(error, DatabaseError):
                self.refusal = refusal or error
                self.todo = self._set_aside_if_to_blame
            case Action.SET_ASIDE if refusal is None and isinstance(error, DatabaseError):
                self.refusal = error
                self.todo = self._set_aside
            case Action.RECONNECT:
                self.todo = self._reconnect
            case Action.RETRY | Action.SHRINK:
                if decision.action is Action.SHRINK:
                    self.size = self.size.halved(self.rows)
                self.todo = partial(self._wait, decision.delay, f"Trying again: {said}.")
            case _ if problem is Kind.DISCONNECTED:
                raise DatabaseGone(_failure(problem, said)) from error
            case _:
                raise MigrationOpsError(_failure(problem, said)) from error

    def _wait(self, seconds: float, reason: str) -> None:
        leases.renew(self.lease)
        self.monitor.say(reason)
        self.stop.wait(seconds)

    def _set_aside_if_to_blame(self) -> Ending | None:
        if not probe.next_row_is_to_blame(self.job, self.lease, Place.read(self.lease)) and self.refusal is not None:
            raise MigrationOpsError(_failure(Kind.CONFLICT, errors.sentence(self.refusal))) from self.refusal
        return self._set_aside()

    def _set_aside(self) -> Ending | None:
        if self.refusal is None:
            return None
        prepare(self.job.legacy(), self._keep_lease)
        step = batch.set_aside(self.job, self.lease, Place.read(self.lease), self.refusal)
        self.refusal = None
        if step is None:
            return None
        if step.requested:
            return Ending(step.requested)
        self.bisection = self.bisection.set_aside()
        self.failures = self.alone = 0
        return None

    def _reconnect(self) -> Ending | None:
        """The lease then names the new server process, so that nobody takes the range for free."""
        connection.close()
        found = patiently(self.stop, self._renew)
        return found if isinstance(found, Ending) else None

    def _renew(self) -> None:
        leases.renew(self.lease)
        self.beat(now=True)


def _pause(problem: Kind, said: str) -> str:
    cause = "the server is out of resources" if problem is Kind.EXHAUSTED else "others hold what it needs"
    return f"Paused, because {cause}: {said}. When that is mended, `manage.py backfill resume` goes on."


def _failure(problem: Kind, said: str) -> str:
    if problem is Kind.DEFECT:
        return f"The database is not as the backfill needs it: {said}. No row is to blame; mend it and run it again."
    return f"The backfill cannot go on: {said}. What was committed stays; run it again."
