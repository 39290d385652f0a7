"""Slices of a run that one worker of the queue at a time is at, whoever holds the lease on the whole run."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error, connection, transaction

from migration_ops import runs
from migration_ops.backfill import background, errors
from migration_ops.backfill import lease as leases
from migration_ops.backfill.slices import PASSING
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import LeaseHeld, LeaseLost
from migration_ops.models import Run, RunKind
from migration_ops.runs import Opened

logger = logging.getLogger(__name__)


class SliceOver(Exception):
    """The time of this slice is up, or something is asked of the run."""


def work_slice(migration: AnyMigration, kind: RunKind, run_id: int, work: Callable[[Opened], object]) -> None:
    """Have `work` done on this run if it waits for a worker.

    Where `work` raises `SliceOver` somebody is woken for what is left. What a person must mend `work` has to write down
    before it raises that. A slice that dies at any point is replaced by the scheduler, and so is one that the
    database left.
    """
    try:
        opened = _join(migration, kind, run_id)
        if opened is not None:
            _carry_on(migration, opened, work)
    except (LeaseHeld, LeaseLost):
        return  # somebody else is at it
    except Error as error:
        if not passes(error):
            raise
        logger.warning("Run %s goes on when the scheduler wakes a worker: %s", run_id, errors.sentence(error))
        connection.close()


def passes(error: Exception) -> bool:
    """Whether this is nobody's to mend: another worker tries again."""
    return isinstance(error, LeaseLost) or (isinstance(error, Error) and errors.kind(error) in PASSING)


def end_if_asked(run: Run) -> None:
    """Between two steps: hear what was asked of this run meanwhile.

    Raises:
        SliceOver: something was.
    """
    if Run.objects.values_list("requested", flat=True).get(pk=run.pk):
        raise SliceOver


def _join(migration: AnyMigration, kind: RunKind, run_id: int) -> Opened | None:
    run = Run.objects.filter(pk=run_id, kind=kind).first()
    if run is None:
        return None
    background.settle(migration, run)
    with transaction.atomic():
        lease = leases.claim(run.pk, runs.WHOLE_RUN, settings().lease)
        run.refresh_from_db()
        if not background.is_with_workers(run) or run.requested:
            leases.release(lease)
            return None
    return Opened(run, lease)


def _carry_on(migration: AnyMigration, opened: Opened, work: Callable[[Opened], object]) -> None:
    try:
        work(opened)
    except SliceOver:
        with transaction.atomic():
            leases.release(opened.lease)
            Run.objects.filter(pk=opened.run.pk).update(attempts=0)
            background.wake_another(opened.run)
        background.settle(migration, opened.run)
