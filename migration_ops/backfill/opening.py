"""Opening a run: a new one with its plan, or the unfinished one where it stopped. Both are in the history."""

from __future__ import annotations

from django.db import transaction

from migration_ops import history, locks, runs, state
from migration_ops.backfill.request import Request
from migration_ops.backfill.workers import RANGES_A_WORKER
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import Refused, StageChanged
from migration_ops.models import Lineage, Run, RunKind, RunStatus
from migration_ops.runs import Opened, Plan
from migration_ops.stages import BACKFILLING, Stage
from migration_ops.sync import capture
from migration_ops.sync import source as sources


def open_run(migration: AnyMigration, request: Request) -> Opened:
    """Speak for the unfinished run, or for a new one where there is none, or where that one cannot go on.

    Where workers of the queue are to do it, the run is theirs when this returns.

    Raises:
        Refused: the stage, or an unfinished run that reads something else.
        LeaseHeld: another process is at it.
        UnusableInput: the source cannot be read; nothing was written.
    """
    source = None if request.source is None else sources.name_of(migration, request.source)
    since = _capturing_since(migration)
    unfinished = runs.unfinished(migration, RunKind.BACKFILL)
    if unfinished is not None:
        runs.let_the_dead_go(unfinished)
    overtaken = unfinished is not None and unfinished.options.get("capture_since") != since
    if unfinished is not None and not request.restart and not overtaken:
        with transaction.atomic():
            return _handed_over(_resume(migration, unfinished, request, source), request)
    if request.resume_only:
        raise Refused(f"There is no backfill of {migration.name} that could be resumed; start one.")
    plan = _plan(migration, request, source or "", since)
    with transaction.atomic():
        locks.enter_fence(migration)
        if _capturing_since(migration) != since:
            raise StageChanged
        if unfinished is not None:
            why = "Capture was off in between." if overtaken else "Restarted."
            runs.close(runs.reopen(unfinished), RunStatus.CANCELLED, error=why)
        opened = runs.open_new(migration, RunKind.BACKFILL, plan, actor=request.actor)
        _note(migration, opened.run, request, "backfill start")
        return _handed_over(opened, request)


def _handed_over(opened: Opened, request: Request) -> Opened:
    if request.queued:
        runs.hand_over(opened, workers=request.workers, batch_size=request.batch_size)
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


def _plan(migration: AnyMigration, request: Request, source: str, since: str | None) -> Plan:
    """Capture is on: what exists now is the backfill's, what comes later is capture's."""
    reading = sources.beside(migration, source)
    legacy = reading.legacy()
    options = {
        "source": source or None,
        "limit": request.limit,
        "workers": request.workers,
        "capture_since": since,
        "capture_lost": capture.lost_total(),
        "fresh": not Lineage.of(reading).exists(),
    }
    with transaction.atomic():
        spans = legacy.spans(1 if request.workers == 1 else request.workers * RANGES_A_WORKER)
        return Plan(spans=spans, side=Side.LEGACY, options=options, total=legacy.estimate())


def _resume(migration: AnyMigration, run: Run, request: Request, source: str | None) -> Opened:
    """Go on; `source` is what the operator named, "" for the legacy store, None where nothing was named."""
    reads = run.options.get("source") or ""
    if source is not None and source != reads:
        raise Refused(
            f"Run {run.pk} is unfinished and reads {reads or 'the legacy store'}, not {source or 'the legacy store'}."
            " Finish it with `manage.py backfill resume`, or give it up with --restart."
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
