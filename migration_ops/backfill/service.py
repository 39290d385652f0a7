"""Services of the backfill: start or go on, pause, cancel, each with its entry in the history; and rehearse, which
writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import ProgrammingError, transaction

from migration_ops import run_requests, runs
from migration_ops.backfill import completion, dry_run, report
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.dry_run import Rehearsed
from migration_ops.backfill.heartbeat import Heartbeat
from migration_ops.backfill.opening import open_run
from migration_ops.backfill.progress import Progress
from migration_ops.backfill.range_worker import Ending
from migration_ops.backfill.report import Report
from migration_ops.backfill.request import Request
from migration_ops.backfill.stop import Deadline, Stop, on_signals
from migration_ops.backfill.worker import work
from migration_ops.backfill.workers import work_together
from migration_ops.definition import AnyMigration, Span
from migration_ops.exceptions import LeaseLost, Refused, RunPaused, UnusableInput
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.patience import sqlstate
from migration_ops.runs import Opened
from migration_ops.sync import source as sources

OPENED = label("backfill.opened")

UNDEFINED_TABLE = "42P01"

Show = Callable[[Progress], None]


def start(migration: AnyMigration, request: Request, *, show: Show | None = None) -> Report:
    """Go on with the unfinished run, paused or not, or begin a new one; returns when it ended or was told to stop.

    On SIGINT or SIGTERM the batch at hand is finished and the run paused; then the signal takes its course.

    Raises:
        Refused: the stage, or an unfinished run that reads something else.
        LeaseHeld: another process is at it.
        UnusableInput: the source cannot be read; the run is not kept.
        RunPaused, MigrationOpsError: it stopped; the run says why and can go on.
    """
    with on_signals() as stop:
        opened = open_run(migration, request)
        failpoint(OPENED)
        ending = _carry_through(migration, opened, request, stop, show)
    if ending is Ending.STOPPED:
        stop.deliver()
    return report.describe(migration, opened.run)


def pause(migration: AnyMigration, *, actor: str, reason: str = "") -> Report:
    """Ask the unfinished run to stop after the batch at hand, and wait a moment until it does.

    Raises:
        Refused: there is none.
    """
    return _ask(migration, run_requests.PAUSE, actor=actor, reason=reason)


def cancel(migration: AnyMigration, *, actor: str, reason: str = "") -> Report:
    """Give the unfinished run up after the batch at hand. What it has written stays.

    Raises:
        Refused: there is none.
    """
    return _ask(migration, run_requests.CANCEL, actor=actor, reason=reason)


def rehearse(migration: AnyMigration, request: Request, *, show: Show | None = None) -> Report:
    """What `start` would do now, in counts; writes nothing, and may be asked at any stage."""
    began = time.monotonic()
    source = "" if request.source is None else sources.name_of(migration, request.source)
    with on_signals() as stop:
        counters = dry_run.rehearse(
            _rehearsed(migration, source), limit=request.limit, stop=stop, show=show, clock=time.monotonic
        ).counters
    stop.deliver()
    seconds = time.monotonic() - began
    data = {
        "run": None,
        "status": "dry_run",
        "dry_run": True,
        **report.counted(migration, counters),
        "seconds": round(seconds, 3),
        "rows_per_second": round(counters.rows_read / seconds, 1),
        "limit": request.limit,
        "source": source or None,
    }
    return Report(data=data, status="dry_run", open_quarantine=0)


def rehearse_a_piece(migration: AnyMigration, run: Run | None, *, within: timedelta) -> Rehearsed:
    """What the beginning of a backfill would do, as far as that is found out in so much time; writes nothing.

    Args:
        run: an unfinished one that goes on, so that its next rows are read; None for a new one of the legacy store.
        within: after that it ends with the page at hand.
    """
    source = "" if run is None else run.options.get("source") or ""
    spans = None if run is None else [Span(each.cursor or each.after, each.until) for each in runs.undone_ranges(run)]
    return dry_run.rehearse(
        _rehearsed(migration, source),
        limit=None,
        stop=Deadline(within.total_seconds()),
        show=None,
        clock=time.monotonic,
        spans=spans,
    )


def _rehearsed(migration: AnyMigration, source: str) -> AnyMigration:
    """What reads the file, or the legacy store. Where there is no legacy table yet, nothing is in a file's way."""
    reading = sources.beside(migration, source)
    if source and migration.source is not None:
        try:
            with transaction.atomic():
                migration.legacy().spans(1)
        except ProgrammingError as error:
            if sqlstate(error) != UNDEFINED_TABLE:
                raise
            return replace(reading, legacy=partial(migration.source, source))
    return reading


def _ask(migration: AnyMigration, what: str, *, actor: str, reason: str) -> Report:
    run = runs.unfinished(migration, RunKind.BACKFILL)
    if run is not None:
        runs.let_the_dead_go(run)
    run = run_requests.ask(migration, RunKind.BACKFILL, what, actor=actor, reason=reason)
    obeyed = run_requests.wait_until_obeyed(run, what, seconds=run_requests.OBEYED)
    found = report.describe(migration, run)
    if not obeyed:
        found.data["requested"] = what
    return found


def _carry_through(migration: AnyMigration, opened: Opened, request: Request, stop: Stop, show: Show | None) -> Ending:
    """Work, and write down how it ended, whatever that is."""
    close = partial(completion.close, migration, opened, actor=request.actor)
    try:
        ending, result = _work(migration, opened, request, stop, show)
    except LeaseLost:
        raise
    except UnusableInput as error:
        begun = any(Counters.of(part.counters).rows_read for part in runs.work_ranges(opened.run))
        close(RunStatus.FAILED if begun else RunStatus.CANCELLED, error=str(error))
        raise
    except (Refused, RunPaused) as error:
        close(RunStatus.PAUSED, error=str(error))
        raise
    except Exception as error:
        close(RunStatus.FAILED, error=str(error).strip().split("\n", 1)[0] or type(error).__name__)
        raise
    completion.close_as(migration, opened, ending, result, actor=request.actor)
    return ending


def _work(
    migration: AnyMigration, opened: Opened, request: Request, stop: Stop, show: Show | None
) -> tuple[Ending, dict[str, Any]]:
    job = completion.job_of(migration, opened.run, workers=request.workers)
    beat = Heartbeat(opened, show)
    if request.workers == 1:
        ending = work(job, fixed=request.batch_size, stop=stop, beat=beat)
    else:
        ending = work_together(job, count=request.workers, fixed=request.batch_size, stop=stop, beat=beat)
    result: dict[str, Any] = {}
    if ending is Ending.DONE:
        completed = completion.complete(migration, job, opened.run.options, stop=stop, beat=beat)
        if completed is None:
            return Ending.STOPPED, {}
        result = completed
    beat(now=True)
    return ending, result
