"""Opening a run: a new one with its plan, or the unfinished one where it stopped. Both are in the history."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from migration_ops import history, locks, runs, state
from migration_ops.backfill.request import Request
from migration_ops.backfill.workers import RANGES_A_WORKER
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import Refused, StageChanged
from migration_ops.models import Lineage, Run, RunKind, RunStatus
from migration_ops.runs import Opened, Plan
from migration_ops.sentence import said
from migration_ops.stages import BACKFILLING, Stage
from migration_ops.state import State
from migration_ops.sync import capture
from migration_ops.sync import source as sources


@dataclass(frozen=True, slots=True)
class Prospect:
    """What `open_run` would do.

    Attributes:
        resumed: the unfinished run that goes on; None where a new one begins.
        given_up: the unfinished run that a new one takes the place of, and why.
        source: the file that a new run reads, named as runs remember it; "" for the legacy store.
        since: since when capture is on.
    """

    resumed: Run | None
    given_up: Run | None
    why: str
    source: str
    since: str | None


def prospect(migration: AnyMigration, request: Request) -> Prospect:
    """What `open_run` would do now; changes nothing.

    Raises:
        Refused: as `open_run` would.
        UnusableInput: the source cannot be read.
    """
    source = None if request.source is None else sources.name_of(migration, request.source)
    since = _capturing_since(migration)
    run = runs.unfinished(migration, RunKind.BACKFILL)
    overtaken = run is not None and _is_overtaken(run, since)
    if run is not None and not request.restart and not overtaken:
        _refuse_another(run, request, source)
        return Prospect(run, None, "", source or "", since)
    if request.resume_only:
        raise Refused(
            said("There is no backfill of %(migration)s that could be resumed; start one.", migration=migration.name)
        )
    return Prospect(None, run, "Capture was off in between." if overtaken else "Restarted.", source or "", since)


def open_run(migration: AnyMigration, request: Request) -> Opened:
    """Speak for the unfinished run, or for a new one where there is none, or where that one cannot go on.

    Where workers of the queue are to do it, the run is theirs when this returns.

    Raises:
        Refused: the stage, or an unfinished run that reads something else.
        LeaseHeld: another process is at it.
        RunChanged: it is not as it was seen.
        UnusableInput: the source cannot be read; nothing was written.
    """
    ahead = prospect(migration, request)
    for run in (ahead.resumed, ahead.given_up):
        if run is not None:
            runs.let_the_dead_go(run)
    if ahead.resumed is not None:
        with transaction.atomic():
            runs.refuse_unless_seen(migration, RunKind.BACKFILL, request.as_seen)
            return _handed_over(_resume(migration, ahead.resumed, request), request)
    plan = _plan(migration, request, ahead.source, ahead.since)
    with transaction.atomic():
        locks.enter_fence(migration)
        if _capturing_since(migration) != ahead.since:
            raise StageChanged
        runs.refuse_unless_seen(migration, RunKind.BACKFILL, request.as_seen)
        if ahead.given_up is not None:
            runs.close(runs.reopen(ahead.given_up), RunStatus.CANCELLED, error=ahead.why)
        opened = runs.open_new(migration, RunKind.BACKFILL, plan, actor=request.actor)
        _note(migration, opened.run, request, "backfill start")
        return _handed_over(opened, request)


def is_overtaken(migration: AnyMigration, run: Run) -> bool:
    """Whether this run cannot go on, because capture was off since it began."""
    return _is_overtaken(run, _isoformat(state.read(migration)))


def _is_overtaken(run: Run, since: str | None) -> bool:
    return bool(run.options.get("capture_since") != since)


def _handed_over(opened: Opened, request: Request) -> Opened:
    if request.queued:
        runs.hand_over(opened, workers=request.workers, batch_size=request.batch_size)
    return opened


def _capturing_since(migration: AnyMigration) -> str | None:
    now = state.read(migration)
    if now.stage is Stage.OFF:
        raise Refused(said("Backfill needs capture: run `manage.py stage advance` first."))
    if now.stage not in BACKFILLING:
        raise Refused(
            said(
                "The migration %(migration)s is at stage %(stage)s; a backfill runs only at %(stages)s.",
                migration=migration.name,
                stage=now.stage.value,
                stages=" or ".join(sorted(BACKFILLING)),
            )
        )
    return _isoformat(now)


def _isoformat(now: State) -> str | None:
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


def _refuse_another(run: Run, request: Request, source: str | None) -> None:
    """What goes on is what was asked for; `source` is "" for the legacy store, None where nothing was named."""
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


def _resume(migration: AnyMigration, run: Run, request: Request) -> Opened:
    if not request.resume_only:
        run.options["limit"] = request.limit
    opened = runs.reopen(run)
    _note(migration, run, request, "backfill resume")
    return opened


def _note(migration: AnyMigration, run: Run, request: Request, verb: str) -> None:
    evidence = {"run": run.pk, "options": run.options}
    history.append(migration, actor=request.actor, verb=verb, reason=request.reason, evidence=evidence)
