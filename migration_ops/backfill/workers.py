"""Several workers on one run: forked processes that share its ranges. The database alone says how far they are."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from django.db import connections

from migration_ops import runs
from migration_ops.backfill.batch import Job
from migration_ops.backfill.heartbeat import Heartbeat, Orphaned
from migration_ops.backfill.range_worker import Ending, patiently
from migration_ops.backfill.stop import Stop, on_signals
from migration_ops.backfill.worker import work
from migration_ops.conf import settings
from migration_ops.exceptions import LeaseLost, MigrationOpsError
from migration_ops.models import Run

RANGES_A_WORKER = 4
"""More ranges than workers, so that a slow range does not keep everybody waiting at the end."""

LOOK = 0.2
"""Seconds between two looks at the workers."""


@dataclass(slots=True)
class _Child:
    process: ForkProcess
    answers: Connection
    answer: Ending | MigrationOpsError | None = None


def work_together(job: Job, *, count: int, fixed: int | None, stop: Stop, beat: Heartbeat) -> Ending:
    """Work with `count` processes until no range is left, or until told otherwise.

    A worker that is killed loses one batch at most: the others take its range over.

    Raises:
        LeaseLost, Refused, RunPaused, MigrationOpsError: the first that a worker met; the others were stopped.
        MigrationOpsError: all workers died.
    """
    connections.close_all()  # a connection must not be shared by two processes
    children = [_fork(job, fixed) for _ in range(count)]
    try:
        while living := [child for child in children if child.process.is_alive()]:
            wait([child.process.sentinel for child in living], timeout=LOOK)
            patiently(stop, beat)
            _listen(children)
            if stop.requested or any(child.answer is not None for child in children):
                break
    finally:
        _end(children)
    return _verdict(job, children, stop)


def _end(children: list[_Child]) -> None:
    """Let everybody finish the batch at hand. A process that cannot even hear that is fenced, and killed."""
    for child in children:
        if child.process.is_alive() and child.process.pid is not None:
            os.kill(child.process.pid, signal.SIGTERM)
    for child in children:
        child.process.join(settings().lease.total_seconds())
        if child.process.is_alive():
            child.process.kill()
            child.process.join()
    _listen(children)


def _fork(job: Job, fixed: int | None) -> _Child:
    context = multiprocessing.get_context("fork")
    answers, mouth = context.Pipe(duplex=False)
    process = context.Process(target=_be_worker, args=(job, fixed, os.getpid(), mouth), daemon=False)
    process.start()
    mouth.close()
    return _Child(process, answers)


def _be_worker(job: Job, fixed: int | None, parent: int, mouth: Connection) -> None:
    """The life of a worker process. Its last word goes to the parent; without one it was killed."""
    with on_signals() as stop:
        try:
            mouth.send(work(job, fixed=fixed, stop=stop, beat=Orphaned(stop, parent)))
        except MigrationOpsError as error:
            mouth.send(error)
    connections.close_all()


def _listen(children: list[_Child]) -> None:
    for child in children:
        if child.answer is None and not child.answers.closed and child.answers.poll():
            try:
                child.answer = child.answers.recv()
            except EOFError:
                child.answers.close()


def _verdict(job: Job, children: list[_Child], stop: Stop) -> Ending:
    errors = [child.answer for child in children if isinstance(child.answer, MigrationOpsError)]
    if errors:
        raise next((error for error in errors if not isinstance(error, LeaseLost)), errors[0])
    if stop.requested:
        return Ending.STOPPED
    run = Run.objects.get(pk=job.run_id)
    if not runs.undone(run):
        return Ending.DONE
    if run.requested:
        return Ending(run.requested)
    dead = [_death(child.process) for child in children if child.answer is None]
    raise MigrationOpsError(
        f"The workers ended before the work did ({', '.join(dead) or 'all stopped'}). What was committed stays;"
        " run `manage.py backfill` again to go on."
    )


def _death(process: ForkProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        return f"process {process.pid} was killed by {signal.Signals(-code).name}"
    return f"process {process.pid} ended with {code}"
