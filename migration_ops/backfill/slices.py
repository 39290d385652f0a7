"""One slice of a backfill in the background: what a worker of the queue does for one wake-up."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import Error, connection, transaction

from migration_ops import runs
from migration_ops.backfill import background, completion, errors
from migration_ops.backfill import lease as leases
from migration_ops.backfill.batch import Job
from migration_ops.backfill.errors import Kind
from migration_ops.backfill.heartbeat import Heartbeat
from migration_ops.backfill.range_worker import Ending
from migration_ops.backfill.report import counters_of
from migration_ops.backfill.stop import Deadline
from migration_ops.backfill.worker import work
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import DatabaseGone, LeaseHeld, LeaseLost, MigrationOpsError, Refused, RunPaused
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.runs import Opened

JOINED = label("queue.joined")
ENDED = label("queue.ended")
PASSED_ON = label("queue.passed_on")

PASSING = (Kind.CONFLICT, Kind.BLOCKED, Kind.DISCONNECTED)
"""Errors that pass by themselves: the run stays with the workers, and the next one tries again."""

logger = logging.getLogger(__name__)

# Of several workers each adds the time since the last beat of any of them: together the time that was worked.
_BEAT = """
UPDATE migration_ops_run
   SET worked_seconds = worked_seconds + extract(epoch FROM least(clock_timestamp() - beat_at, %(silence)s)),
       beat_at = clock_timestamp()
 WHERE id = %(run)s AND beat_at < clock_timestamp() - %(often)s
"""


@dataclass(slots=True)
class SliceBeat:
    """Adds up, between batches, for how long this run was worked on."""

    run_id: int
    _beaten: float = field(default_factory=time.monotonic)

    def __call__(self, *, now: bool = False) -> None:
        often = settings().lease / 5
        if now or time.monotonic() - self._beaten > often.total_seconds():
            self._beaten = time.monotonic()
            silence, least = settings().lease, timedelta(0) if now else often / 2
            values: dict[str, Any] = {"run": self.run_id, "silence": silence, "often": least}
            with connection.cursor() as cursor:
                cursor.execute(_BEAT, values)


def work_slice(migration: AnyMigration, run_id: int, *, stop: Deadline) -> Ending | None:
    """Work on this run until the time is up, and wake somebody for what is left; None when there is nothing to do.

    How a run ends is written down here; an error that only a person can mend pauses or fails it, and is no error of the
    slice. A slice that dies at any point is replaced by the scheduler, and so is one that the database left.
    """
    try:
        run = Run.objects.filter(pk=run_id, kind=RunKind.BACKFILL).first()
        if run is None:
            return None
        background.settle(migration, run)
        return _slice(migration, run, stop) if background.may_join(run) else None
    except LeaseLost:
        return None  # somebody else goes on, or the run is no longer running
    except LeaseHeld:
        return Ending.DONE  # somebody else finishes it
    except DatabaseGone as error:
        logger.warning("Run %s goes on when the scheduler wakes a worker. %s", run_id, error)
    except Error as error:
        if errors.kind(error) not in PASSING:
            raise
        logger.warning("Run %s goes on when the scheduler wakes a worker: %s", run_id, errors.sentence(error))
    connection.close()
    return None


def _slice(migration: AnyMigration, run: Run, stop: Deadline) -> Ending:
    background.count_attempt(run, counters_of(run).rows_read)
    failpoint(JOINED)
    try:
        ending = _work(migration, run, stop)
    except (LeaseLost, LeaseHeld, DatabaseGone):
        raise
    except (Refused, RunPaused) as error:
        return _end(migration, run, Ending.PAUSE, str(error))
    except MigrationOpsError as error:
        return _end(migration, run, Ending.FAIL, str(error))
    except Exception as error:
        if not isinstance(error, Error) or errors.kind(error) not in PASSING:
            _end(migration, run, Ending.FAIL, str(error).strip().split("\n", 1)[0] or type(error).__name__)
        raise
    failpoint(ENDED)
    return _end(migration, run, ending)


def _work(migration: AnyMigration, run: Run, stop: Deadline) -> Ending:
    job = completion.job_of(migration, run, workers=run.options.get("workers", 1))
    beat = SliceBeat(run.pk)
    ending = work(job, fixed=run.options.get("batch_size"), stop=stop, beat=beat)
    beat(now=True)
    if ending not in (Ending.DONE, Ending.LIMIT):
        return ending
    return _complete(migration, run, job, ending, stop)


def _complete(migration: AnyMigration, run: Run, job: Job, ending: Ending, stop: Deadline) -> Ending:
    """What comes after the last range is for one worker, and not cut into slices.

    Raises:
        LeaseHeld: somebody else is at it.
    """
    with transaction.atomic():
        opened = Opened(run, leases.claim(run.pk, runs.WHOLE_RUN, settings().lease))
        run.refresh_from_db()
        if not run.queued or run.status != RunStatus.RUNNING or run.requested:
            leases.release(opened.lease)
            return Ending(run.requested) if run.requested else Ending.DONE
    stop.lift()
    beat = Heartbeat(opened)
    result = {}
    try:
        if ending is Ending.DONE:
            completed = completion.complete(migration, job, run.options, stop=stop, beat=beat)
            if completed is None:
                return Ending.STOPPED
            result = completed
        beat(now=True)
        completion.close_as(migration, opened, ending, result, actor=run.actor or "worker")
    finally:
        leases.release(opened.lease)
    return ending


def _end(migration: AnyMigration, run: Run, ending: Ending, error: str = "") -> Ending:
    """Leave the run as it is to go on: with somebody woken for what is left, or settled."""
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(attempts=0)
        if ending is Ending.STOPPED:
            background.wake_another(run)
        elif error:
            running = Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING)
            running.update(error=error, requested=ending.value)
    failpoint(PASSED_ON)
    background.settle(migration, run)
    return ending
