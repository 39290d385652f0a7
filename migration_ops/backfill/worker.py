"""One worker: takes range after range, also those whose worker died."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from migration_ops import runs
from migration_ops.backfill import lease as leases
from migration_ops.backfill.batch import Job
from migration_ops.backfill.batch_size import BatchSize
from migration_ops.backfill.lease import Lease
from migration_ops.backfill.range_worker import Beat, Ending, RangeWorker, patiently
from migration_ops.backfill.stop import Stop
from migration_ops.conf import settings
from migration_ops.models import Run

ELSEWHERE = 0.2
"""Seconds between two looks whether a range of another worker has become free."""


def batch_size(fixed: int | None, most: int) -> BatchSize:
    """Where a range begins, unless the run knows better; never more than `most` rows a batch."""
    if fixed is not None:
        return BatchSize.fixed(min(fixed, most))
    limits = settings()
    return BatchSize.adaptive(
        start=min(limits.batch_start, most),
        minimum=min(limits.batch_minimum, most),
        maximum=min(limits.batch_maximum, most),
        target=limits.batch_target.total_seconds(),
    )


def work(job: Job, *, fixed: int | None, stop: Stop, beat: Beat) -> Ending:
    """Work until no range is left, also not one whose worker died; or until told otherwise.

    Raises:
        LeaseLost, Refused, RunPaused, MigrationOpsError: as `RangeWorker.run`.
    """
    with _rare_collections():
        return _work(job, fixed=fixed, stop=stop, beat=beat)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Documents hold no cycles, but every few hundred of them would have the collector look at all that live: a tenth
    of the time of a backfill. It still runs, a hundred times as seldom."""
    before = gc.get_threshold()
    gc.set_threshold(before[0] * 100, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _work(job: Job, *, fixed: int | None, stop: Stop, beat: Beat) -> Ending:
    while not stop.requested:
        found = patiently(stop, lambda: _next(job, beat))
        if isinstance(found, Ending):
            return found
        if found is None:
            stop.wait(ELSEWHERE)
            continue
        lease = found
        worker = RangeWorker(job, lease, batch_size(fixed, job.most_rows), stop, beat)
        try:
            ending = worker.run()
        finally:
            worker.leave()
        if ending is not Ending.DONE:
            return ending
    return Ending.STOPPED


def _next(job: Job, beat: Beat) -> Lease | Ending | None:
    beat()
    lease = leases.claim_next(job.run_id, settings().lease)
    if lease is not None:
        return lease
    run = Run.objects.get(pk=job.run_id)
    if not runs.undone(run):
        return Ending.DONE
    return Ending(run.requested) if run.requested else None
