"""Services of the backfill: start or go on, pause, cancel, rehearse. Every one of them writes history."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from django.db import Error, ProgrammingError, connection, transaction

from migration_ops import history, runs
from migration_ops.backfill import dry_run, finish, lock_room, report
from migration_ops.backfill import lease as leases
from migration_ops.backfill.batch import Job
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.heartbeat import Heartbeat
from migration_ops.backfill.opening import open_run
from migration_ops.backfill.progress import Progress
from migration_ops.backfill.report import Report
from migration_ops.backfill.request import Request
from migration_ops.backfill.stop import Stop, on_signals
from migration_ops.backfill.worker import Ending, work
from migration_ops.backfill.workers import work_together
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import LeaseLost, Refused, RunPaused, UnusableInput
from migration_ops.failpoints import failpoint, label
from migration_ops.models import RunKind, RunStatus
from migration_ops.patience import sqlstate
from migration_ops.runs import Opened
from migration_ops.sync import capture
from migration_ops.sync import source as sources

OPENED = label("backfill.opened")
CLOSED = label("backfill.closed")

OBEYED = 10.0
"""Seconds that `pause` and `cancel` wait for the running process to obey; it does so after the batch at hand."""

REMEMBERED_KEYS = 10_000
"""Encoded keys that are kept: every step of a batch asks for the same ones."""

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
    return _ask(migration, runs.PAUSE, actor=actor, reason=reason)


def cancel(migration: AnyMigration, *, actor: str, reason: str = "") -> Report:
    """Give the unfinished run up after the batch at hand. What it has written stays.

    Raises:
        Refused: there is none.
    """
    return _ask(migration, runs.CANCEL, actor=actor, reason=reason)


def rehearse(migration: AnyMigration, request: Request, *, show: Show | None = None) -> Report:
    """What `start` would do now, in counts; writes nothing, and may be asked at any stage."""
    began = time.monotonic()
    source = "" if request.source is None else sources.name_of(migration, request.source)
    with on_signals() as stop:
        counters = dry_run.rehearse(
            _rehearsed(migration, source), limit=request.limit, stop=stop, show=show, clock=time.monotonic
        )
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
    if run is None:
        raise Refused(f"There is no unfinished backfill of {migration.name} to {what}.")
    runs.let_the_dead_go(run)
    with transaction.atomic():
        runs.request(run, what)
        history.append(migration, actor=actor, verb=f"backfill {what}", reason=reason, evidence={"run": run.pk})
    wanted = RunStatus.PAUSED if what == runs.PAUSE else RunStatus.CANCELLED
    deadline = time.monotonic() + OBEYED
    while run.status == RunStatus.RUNNING and time.monotonic() < deadline:
        time.sleep(runs.NOTICED)
        if not leases.holders(run.pk):
            runs.request(run, what)  # whoever was asked ended or died meanwhile
        run.refresh_from_db()
    found = report.describe(migration, run)
    if run.status == RunStatus.RUNNING:
        found.data["requested"] = what
    elif run.status != wanted and run.status != RunStatus.SUCCEEDED:
        raise Refused(f"Run {run.pk} is {run.status} by now: {run.error}")
    return found


def _carry_through(migration: AnyMigration, opened: Opened, request: Request, stop: Stop, show: Show | None) -> Ending:
    """Work, and write down how it ended, whatever that is."""
    close = partial(_close, migration, opened, request)
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
    match ending:
        case Ending.DONE | Ending.LIMIT:
            close(RunStatus.SUCCEEDED, result=result)
        case Ending.CANCEL:
            close(RunStatus.CANCELLED)
        case Ending.PAUSE:
            close(RunStatus.PAUSED)
        case Ending.STOPPED:
            close(RunStatus.PAUSED, error="Interrupted; `manage.py backfill` goes on.")
    return ending


def _work(
    migration: AnyMigration, opened: Opened, request: Request, stop: Stop, show: Show | None
) -> tuple[Ending, dict[str, Any]]:
    options = opened.run.options
    since = options.get("capture_since")
    migration = replace(migration, encode_key=lru_cache(REMEMBERED_KEYS)(migration.encode_key))
    reading = sources.beside(migration, options.get("source") or "")
    job = Job(
        migration=reading,
        run_id=opened.run.pk,
        legacy=reading.legacy,
        capture_since=None if since is None else datetime.fromisoformat(since),
        fresh=options["fresh"],
        limit=options.get("limit"),
        most_rows=lock_room.keys_a_batch(request.workers),
    )
    beat = Heartbeat(opened, show)
    if request.workers == 1:
        ending = work(job, fixed=request.batch_size, stop=stop, beat=beat)
    else:
        ending = work_together(job, count=request.workers, fixed=request.batch_size, stop=stop, beat=beat)
    result: dict[str, Any] = {}
    if ending is Ending.DONE:
        whole = job.limit is None and not reading.rows_from
        if job.limit is None:
            deal_with_vanished = finish.mark_vanished if whole else finish.forget_vanished
            result["vanished"] = deal_with_vanished(job, stop=stop, beat=beat)
        else:
            result["vanished"] = 0
        result.update(finish.drain(migration, stop=stop, beat=beat))
        if stop.requested:
            return Ending.STOPPED, {}
        if whole:
            capture.confirm_whole(migration, options["capture_lost"])
    beat(now=True)
    return ending, result


def _close(
    migration: AnyMigration,
    opened: Opened,
    request: Request,
    status: RunStatus,
    *,
    error: str = "",
    result: dict[str, Any] | None = None,
) -> None:
    """Write the end down, with its entry in the history.

    Where the database cannot be reached the lease ends with the connection, and the next backfill goes on all the same.
    """
    try:
        with transaction.atomic():
            said = None
            opened.run.refresh_from_db(fields=["worked_seconds"])  # the heartbeat adds to it in the database
            if result is not None:
                said = {**report.figures(migration, opened.run), **result}
            runs.close(opened, status, error=error, result=said)
            evidence = {"run": opened.run.pk, **report.figures(migration, opened.run), "error": error}
            history.append(migration, actor=request.actor, verb=f"backfill {status}", evidence=evidence)
    except Error:
        connection.close()
        if not error:
            raise
    failpoint(CLOSED)
