"""Runs in the background: workers of the queue do them, slice by slice, and whoever started one may go home.

The run's row is the truth; a wake-up in the queue only names it. A wake-up that is lost is replaced by the scheduler,
one that is doubled finds nothing to do, one that is late finds what is there by then.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from migration_ops import history, queue, run_requests, runs
from migration_ops.backfill import lease as leases
from migration_ops.backfill import report
from migration_ops.backfill.opening import open_run
from migration_ops.backfill.report import Report
from migration_ops.backfill.request import Request
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import LeaseHeld, QueueAway, Refused
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.sentence import joined, said
from migration_ops.sync import source as sources

HANDED_OVER = label("queue.handed_over")

JOB = "migration_ops.jobs.work_on_backfill"

JOBS = {
    RunKind.BACKFILL: JOB,
    RunKind.VALIDATION: "migration_ops.jobs.work_on_validation",
    RunKind.REHEARSAL: "migration_ops.jobs.work_on_rehearsal",
}
"""What a worker calls for a run, by its kind."""

MOST_DEATHS = 100
"""Slices in a row that died without a batch: whatever kills them is in the run, and a person must look.

A worker is revived in seconds, so this is a quarter of an hour at least.
"""

logger = logging.getLogger(__name__)

_NUMBERED = "UPDATE migration_ops_run SET woken = woken + 1 WHERE id = %s AND woken = %s"


_BEGIN = """
UPDATE migration_ops_run
   SET attempts = CASE WHEN attempts_at = %(rows)s THEN attempts + 1 ELSE 1 END, attempts_at = %(rows)s,
       beat_at = CASE WHEN beat_at > clock_timestamp() - %(silence)s THEN beat_at ELSE clock_timestamp() END
 WHERE id = %(run)s
"""


@dataclass(frozen=True, slots=True)
class Woken:
    """What came of the wake-ups for a run.

    Attributes:
        sent: wake-ups that are in the queue now.
        problem: why not all that were wanted are; "" if they are.
    """

    sent: int = 0
    problem: str = ""


def start(migration: AnyMigration, request: Request) -> Report:
    """Open a run, or the unfinished one, for the workers of the queue; returns at once.

    A run that is with them already stays as it is, and gets the wake-ups that it lacks. Where Redis does not answer,
    the run is open all the same, and the scheduler wakes a worker when Redis is back; `data["problem"]` says so.

    Raises:
        Refused: the stage, or an unfinished run that reads something else.
        LeaseHeld: somebody is at it already, a worker of the queue or a process in the foreground.
        RunChanged: it is not as it was seen.
        UnusableInput: the source cannot be read; nothing was written.
    """
    run = runs.unfinished(migration, RunKind.BACKFILL)
    if run is None or request.restart or not is_with_workers(run):
        run = open_run(migration, request).run
    else:
        with transaction.atomic():
            runs.refuse_unless_seen(migration, RunKind.BACKFILL, request.as_seen)
        _refuse_another(migration, run, request)
        if held := leases.holders(run.pk):
            who = {"run": str(run.pk), "workers": ", ".join(map(str, held))}
            raise LeaseHeld(said("Workers are at run %(run)s already: %(workers)s.", **who))
    failpoint(HANDED_OVER)
    woken = wake(run)
    found = report.describe(migration, run)
    found.data.update({"queued": True, "problem": problem(migration, woken)})
    return found


def problem(migration: AnyMigration, woken: Woken) -> str:
    """What keeps the run from going on now; "" when nothing does."""
    found = []
    if woken.problem:
        found.append(said("%(problem)s The scheduler wakes a worker as soon as it does.", problem=woken.problem))
    for role, command in ((Role.WORKER, "rqworker default"), (Role.SCHEDULER, "scheduler")):
        age = heartbeat.age(migration, role)
        if age is None or age > heartbeat.longest_silence(role).total_seconds():
            found.append(
                said("No %(role)s is heard of; start one with `manage.py %(command)s`.", role=role, command=command)
            )
    return joined(found)


def wake(run: Run) -> Woken:
    """See to it that there is a wake-up for every worker that this run wants and does not have."""
    run.refresh_from_db()
    if not is_with_workers(run):
        return Woken()
    prefix = _prefix(run)
    try:
        missing = _wanted(run) - len(_workers(run)) - queue.waiting(prefix)
        if missing < 1:
            return Woken()
        with connection.cursor() as cursor:
            cursor.execute(_NUMBERED, [run.pk, run.woken])
            if cursor.rowcount != 1:
                return Woken()  # somebody else was faster
        for seat in range(missing):
            queue.ring(_job(run), run.pk, job_id=f"{prefix}{run.woken + 1}-{seat}")
    except QueueAway as error:
        return Woken(problem=str(error))
    return Woken(sent=missing)


def wake_another(run: Run) -> None:
    """Have somebody else go on where this slice ends; in the caller's transaction, and sent when that is committed."""
    Run.objects.filter(pk=run.pk).update(woken=F("woken") + 1)
    number = Run.objects.values_list("woken", flat=True).get(pk=run.pk)

    def send() -> None:
        try:
            queue.ring(_job(run), run.pk, job_id=f"{_prefix(run)}{number}-next")
        except QueueAway as error:
            logger.warning("Run %s goes on when the scheduler wakes a worker. %s", run.pk, error)

    transaction.on_commit(send)


def revive(migration: AnyMigration, run: Run) -> Woken:
    """What the scheduler does for a run that is with the workers: nobody has to be there for it to go on.

    1. A pause or cancel that nobody is left to obey is carried out.
    2. A run whose workers die again and again without a batch fails, with a sentence.
    3. Otherwise there is a wake-up for every worker that is missing.
    """
    run.refresh_from_db()
    if not is_with_workers(run):
        return Woken()
    if run.requested:
        settle(migration, run)
        return Woken()
    if run.attempts > MOST_DEATHS and not leases.holders(run.pk):
        error = (
            f"The last {run.attempts} workers died before they got anywhere; the log of the workers may say of what."
            " When that is mended, start it again: it goes on where it stopped."
        )
        Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(requested=run_requests.FAIL, error=error)
        settle(migration, run)
        return Woken(problem=error)
    return wake(run)


def settle(migration: AnyMigration, run: Run) -> None:
    """Carry out what was asked of this run, with its entry in the history, unless somebody still works on it."""
    run.refresh_from_db()
    if run.status != RunStatus.RUNNING or not run.requested:
        return
    with transaction.atomic():
        if not run_requests.settle(run, run.requested, error=run.error):
            return
        figures = report.figures(migration, run) if run.kind == RunKind.BACKFILL else {}
        evidence = {"run": run.pk, **figures, "error": run.error}
        history.append(migration, actor=run.actor or "worker", verb=f"{run.kind} {run.status}", evidence=evidence)


def count_attempt(run: Run, rows: int) -> None:
    """A slice begins, when so many rows are read. It counts as dead until it ended in order, or a row more was read."""
    values: dict[str, Any] = {"run": run.pk, "rows": rows, "silence": settings().lease}
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, values)


def may_join(run: Run) -> bool:
    """Whether this run waits for one more worker of the queue."""
    if not is_with_workers(run) or run.requested:
        return False
    held = leases.holders(run.pk)
    if any(each.number == runs.WHOLE_RUN for each in held):
        return False  # somebody finishes it, or took it into the foreground
    return len(held) < int(run.options.get("workers", 1))


def is_with_workers(run: Run) -> bool:
    return run.queued and run.status == RunStatus.RUNNING


def _wanted(run: Run) -> int:
    """Workers that there is work for; one for what comes after the last range, unless somebody is at that."""
    undone = runs.undone(run)
    if undone:
        return int(min(run.options.get("workers", 1), undone))
    return 0 if any(each.number == runs.WHOLE_RUN for each in leases.holders(run.pk)) else 1


def _workers(run: Run) -> list[str]:
    return [each.owner for each in leases.holders(run.pk)]


def _prefix(run: Run) -> str:
    return f"{run.kind}-{run.pk}-"


def _job(run: Run) -> str:
    return JOBS[RunKind(run.kind)]


def _refuse_another(migration: AnyMigration, run: Run, request: Request) -> None:
    """A run that is under way in the background must be what is asked for now."""
    source = None if request.source is None else sources.name_of(migration, request.source)
    for name, asked in (("limit", request.limit), ("source", source)):
        if asked is not None and asked != (run.options.get(name) or ""):
            raise Refused(
                f"Run {run.pk} is under way in the background with another {name}."
                " Wait for it, or give it up with `manage.py backfill cancel`."
            )
