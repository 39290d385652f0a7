"""Services of the backfill: start or go on, pause, cancel, rehearse. Every one of them writes history."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from django.db import Error, connection, transaction

from migration_ops import history, locks, runs, state
from migration_ops.backfill import dry_run, finish, lock_room, report
from migration_ops.backfill import lease as leases
from migration_ops.backfill.batch import Job
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.heartbeat import Heartbeat
from migration_ops.backfill.progress import Progress
from migration_ops.backfill.report import Report
from migration_ops.backfill.stop import Stop, on_signals
from migration_ops.backfill.worker import Ending, work
from migration_ops.backfill.workers import RANGES_A_WORKER, work_together
from migration_ops.definition import AnyMigration, RowStore, Side
from migration_ops.exceptions import LeaseLost, Refused, RunPaused, StageChanged, UnusableInput
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Lineage, Run, RunKind, RunStatus
from migration_ops.runs import Opened, Plan
from migration_ops.stages import BACKFILLING, Stage
from migration_ops.sync import capture

OPENED = label("backfill.opened")
CLOSED = label("backfill.closed")

MOST_WORKERS = 32
MOST_ROWS = 5_000
"""Rows in a batch that an operator may ask for: a key is an advisory lock, and the server's lock table is finite."""

OBEYED = 10.0
"""Seconds that `pause` and `cancel` wait for the running process to obey; it does so after the batch at hand."""

REMEMBERED_KEYS = 10_000
"""Encoded keys that are kept: every step of a batch asks for the same ones."""

Show = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an operator asks for.

    Attributes:
        batch_size: rows a batch; None lets it adapt.
        limit: rows after which to stop; the run then counts as a trial, not as a complete backfill.
        source: a file to read instead of the legacy store.
        restart: give an unfinished run up and begin anew.
        resume_only: go on with an unfinished run or refuse; never begin one.
    """

    actor: str
    reason: str = ""
    batch_size: int | None = None
    workers: int = 1
    limit: int | None = None
    source: str | None = None
    restart: bool = False
    resume_only: bool = False

    def __post_init__(self) -> None:
        if self.batch_size is not None and not 1 <= self.batch_size <= MOST_ROWS:
            raise UnusableInput(f"A batch has 1 to {MOST_ROWS} rows, not {self.batch_size}.")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise UnusableInput(f"A backfill has 1 to {MOST_WORKERS} workers, not {self.workers}.")
        if self.limit is not None and self.limit < 1:
            raise UnusableInput(f"--limit needs at least one row, not {self.limit}.")
        if self.limit is not None and self.workers > 1:
            raise UnusableInput("--limit reads the first rows in order and works with one worker only.")


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
        opened = _open(migration, request)
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
    legacy = _legacy(migration, request.source)()
    with on_signals() as stop:
        counters = dry_run.rehearse(migration, legacy, limit=request.limit, stop=stop, show=show, clock=time.monotonic)
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
        "source": request.source,
    }
    return Report(data=data, status="dry_run", open_quarantine=0)


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


def _legacy(migration: AnyMigration, source: str | None) -> Callable[[], RowStore[Any, Any]]:
    if source is None:
        return migration.legacy
    if migration.source is None:
        raise UnusableInput(f"The migration {migration.name} cannot read a file; leave --source out.")
    return partial(migration.source, source)


def _open(migration: AnyMigration, request: Request) -> Opened:
    source = None if request.source is None else os.path.abspath(request.source)
    since = _capturing_since(migration)
    unfinished = runs.unfinished(migration, RunKind.BACKFILL)
    if unfinished is not None:
        runs.let_the_dead_go(unfinished)
    overtaken = unfinished is not None and unfinished.options.get("capture_since") != since
    if unfinished is not None and not request.restart and not overtaken:
        with transaction.atomic():
            return _resume(migration, unfinished, request, source)
    if request.resume_only:
        raise Refused(f"There is no backfill of {migration.name} that could be resumed; start one.")
    plan = _plan(migration, request, source, since)
    with transaction.atomic():
        locks.enter_fence(migration)
        if _capturing_since(migration) != since:
            raise StageChanged
        if unfinished is not None:
            why = "Capture was off in between." if overtaken else "Restarted."
            runs.close(runs.reopen(unfinished), RunStatus.CANCELLED, error=why)
        opened = runs.open_new(migration, RunKind.BACKFILL, plan, actor=request.actor)
        _note(migration, opened.run, request, "backfill start")
    return opened


def _capturing_since(migration: AnyMigration) -> str | None:
    now = state.read(migration)
    if now.stage is Stage.OFF:
        raise Refused("Backfill needs capture: run `manage.py stage advance` first.")
    if now.stage not in BACKFILLING:
        raise Refused(
            f"The migration {migration.name} is at stage {now.stage}; a backfill runs only at"
            f" {' or '.join(sorted(BACKFILLING))}."
        )
    return None if now.capture_since is None else now.capture_since.isoformat()


def _plan(migration: AnyMigration, request: Request, source: str | None, since: str | None) -> Plan:
    """Capture is on: what exists now is the backfill's, what comes later is capture's."""
    legacy = _legacy(migration, source)()
    options = {
        "source": source,
        "limit": request.limit,
        "workers": request.workers,
        "capture_since": since,
        "capture_lost": capture.lost_total(),
        "fresh": not Lineage.objects.filter(migration=migration.name).exists(),
    }
    with transaction.atomic():
        spans = legacy.spans(1 if request.workers == 1 else request.workers * RANGES_A_WORKER)
        return Plan(spans=spans, side=Side.LEGACY, options=options, total=legacy.estimate())


def _resume(migration: AnyMigration, run: Run, request: Request, source: str | None) -> Opened:
    if source is not None and source != run.options.get("source"):
        reads = run.options.get("source") or "the legacy store"
        raise Refused(
            f"Run {run.pk} is unfinished and reads {reads}, not {source}. Finish it with `manage.py backfill resume`,"
            " or give it up with --restart."
        )
    if request.limit is not None and request.limit != run.options.get("limit"):
        raise Refused(
            f"Run {run.pk} is unfinished; its limit cannot become {request.limit}. Finish it with"
            " `manage.py backfill`, or give it up with --restart."
        )
    if not request.resume_only:
        run.options["limit"] = request.limit
    opened = runs.reopen(run)
    _note(migration, run, request, "backfill resume")
    return opened


def _note(migration: AnyMigration, run: Run, request: Request, verb: str) -> None:
    evidence = {"run": run.pk, "options": run.options}
    history.append(migration, actor=request.actor, verb=verb, reason=request.reason, evidence=evidence)


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
    job = Job(
        migration=replace(migration, encode_key=lru_cache(REMEMBERED_KEYS)(migration.encode_key)),
        run_id=opened.run.pk,
        legacy=_legacy(migration, options.get("source")),
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
        whole = job.limit is None and options.get("source") is None
        result["vanished"] = finish.mark_vanished(job, stop=stop, beat=beat) if whole else 0
        result.update(finish.drain(job, stop=stop, beat=beat))
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
