"""A full validation in the background: workers of the queue look, slice by slice, one at a time."""

from __future__ import annotations

import logging

from django.db import Error, connection, transaction

from migration_ops import history, runs
from migration_ops.backfill import background, errors
from migration_ops.backfill import lease as leases
from migration_ops.backfill.background import Woken
from migration_ops.backfill.slices import PASSING
from migration_ops.backfill.stop import Stop
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import LeaseHeld, LeaseLost, first_line
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.runs import Opened
from migration_ops.verify import journal as journals
from migration_ops.verify.compare import Tally
from migration_ops.verify.journal import Journal
from migration_ops.verify.validation import close, look

JOINED = label("validation_slice_joined")

logger = logging.getLogger(__name__)


class SliceOver(Exception):
    """The time of this slice is up, or something is asked of the run."""


def start(migration: AnyMigration, *, actor: str, reason: str = "", as_seen: str = "") -> tuple[Run, Woken]:
    """Begin a full validation, or go on with the one that stopped, and leave it to the workers of the queue.

    One that is with them already stays as it is. Where Redis does not answer, the scheduler wakes a worker later.

    Raises:
        LeaseHeld: a process in the foreground is at it.
        RunChanged: it is not as it was seen (see `runs.refuse_unless_seen`).
    """
    run = runs.unfinished(migration, RunKind.VALIDATION)
    with transaction.atomic():
        runs.refuse_unless_seen(migration, RunKind.VALIDATION, as_seen)
        if run is None or not background.is_with_workers(run):
            before, journal = run, journals.take_up(migration, actor=actor)
            run = journal.run
            runs.hand_over(Opened(run, journal.lease))
            verb = "validation resume" if before is not None and before.pk == run.pk else "validation start"
            history.append(migration, actor=actor, verb=verb, reason=reason, evidence={"run": run.pk})
    return run, background.wake(run)


def work_slice(migration: AnyMigration, run_id: int, *, stop: Stop) -> None:
    """Look on until the time is up, and wake somebody for what is left.

    A slice that dies at any point is replaced by the scheduler, and so is one that the database left.
    """
    try:
        journal = _join(migration, run_id)
        if journal is not None:
            _slice(journal, stop)
    except (LeaseHeld, LeaseLost):
        return  # somebody else is at it
    except Error as error:
        if errors.kind(error) not in PASSING:
            raise
        logger.warning("Run %s goes on when the scheduler wakes a worker: %s", run_id, errors.sentence(error))
        connection.close()


def _join(migration: AnyMigration, run_id: int) -> Journal | None:
    """Take the lease on this run, if it waits for a worker."""
    run = Run.objects.filter(pk=run_id, kind=RunKind.VALIDATION).first()
    if run is None:
        return None
    background.settle(migration, run)
    with transaction.atomic():
        lease = leases.claim(run.pk, journals.WHOLE, settings().lease)
        run.refresh_from_db()
        if not background.is_with_workers(run) or run.requested:
            leases.release(lease)
            return None
    ranges = list(run.ranges.order_by("number"))
    return Journal(migration, run, ranges, lease, list(run.result.get("reasons", [])))


def _slice(journal: Journal, stop: Stop) -> None:
    failpoint(JOINED)
    run = journal.run
    background.count_attempt(run, sum(Tally.from_json(each.counters).legacy_rows for each in journal.ranges))

    def looked(number: int, tally: Tally) -> None:
        if stop.requested or Run.objects.values_list("requested", flat=True).get(pk=run.pk):
            raise SliceOver

    try:
        close(journal, look(journal, sample=None, seed=None, progress=looked), sample=None)
    except SliceOver:
        with transaction.atomic():
            leases.release(journal.lease)
            Run.objects.filter(pk=run.pk).update(attempts=0)
            background.wake_another(run)
        background.settle(journal.migration, run)
    except (LeaseLost, Error) as error:
        if isinstance(error, Error) and errors.kind(error) not in PASSING:
            journal.suspend(RunStatus.FAILED, first_line(error))
        raise
    except Exception as error:
        journal.suspend(RunStatus.FAILED, first_line(error))
        raise
