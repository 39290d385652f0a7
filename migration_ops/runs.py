"""Runs: what was asked of them, who works on them, how far they are. Selectors and services for every kind.

A run of several workers has range 0 for the process that speaks for the whole run; its work is in the ranges from 1 on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from migration_ops.backfill import lease as leases
from migration_ops.backfill.lease import Lease
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Span
from migration_ops.exceptions import LeaseHeld
from migration_ops.models import Run, RunKind, RunRange, RunStatus
from migration_ops.models.run import UNFINISHED

WHOLE_RUN = 0
"""Number of the range that carries the lease on the whole run and no work."""

PAUSE = "pause"
CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that this process now speaks for."""

    run: Run
    lease: Lease


def unfinished(migration: AnyMigration, kind: RunKind) -> Run | None:
    """The run that can go on where it stopped; there is at most one of each kind."""
    return Run.objects.filter(migration=migration.name, kind=kind, status__in=UNFINISHED).first()


def latest(migration: AnyMigration, kind: RunKind) -> Run | None:
    """The run that was started last, whatever became of it."""
    return Run.objects.filter(migration=migration.name, kind=kind).order_by("-id").first()


def work_ranges(run: Run) -> list[RunRange]:
    """The ranges of this run in their order."""
    return list(run.ranges.filter(number__gt=WHOLE_RUN).order_by("number"))


def undone(run: Run) -> int:
    """How many ranges still have work."""
    return run.ranges.filter(number__gt=WHOLE_RUN, done=False).count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do.

    Attributes:
        spans: its ranges, of the store of `side`.
        options: whatever its kind has to remember, as JSON.
        total: rows expected, roughly; None if unknown.
    """

    spans: Sequence[Span]
    side: str
    options: Mapping[str, Any]
    total: int | None


def open_new(migration: AnyMigration, kind: RunKind, plan: Plan, *, actor: str) -> Opened:
    """Begin a run, and speak for it; in the caller's transaction.

    Raises:
        LeaseHeld: somebody else began one at the same moment.
    """
    try:
        with transaction.atomic():
            run = Run.objects.create(
                migration=migration.name,
                kind=kind,
                status=RunStatus.RUNNING,
                options=dict(plan.options),
                actor=actor,
                started_at=timezone.now(),
                total=plan.total,
            )
    except IntegrityError:
        raise LeaseHeld(f"Another process has just started a {kind} of {migration.name}.") from None
    RunRange.objects.bulk_create(
        [
            RunRange(run=run, number=WHOLE_RUN, side=plan.side),
            *(
                RunRange(run=run, number=number, side=plan.side, after=span.after, until=span.until)
                for number, span in enumerate(plan.spans, start=1)
            ),
        ]
    )
    return Opened(run, leases.claim(run.pk, WHOLE_RUN, settings().lease))


def reopen(run: Run) -> Opened:
    """Speak for an unfinished run: it is running again, and nothing is asked of it.

    Raises:
        LeaseHeld: a living process works on it.
    """
    with transaction.atomic():
        taken = leases.claim(run.pk, WHOLE_RUN, settings().lease)
        refuse_live_workers(run)
        Run.objects.filter(pk=run.pk).update(
            status=RunStatus.RUNNING, requested="", error="", hold_reason="", options=run.options
        )
    run.refresh_from_db()
    return Opened(run, taken)


def refuse_live_workers(run: Run) -> None:
    """Workers may outlive the process that started them by one batch.

    Raises:
        LeaseHeld: one of them still works.
    """
    workers = _live_workers(run)
    if workers:
        raise LeaseHeld(f"Workers of run {run.pk} are still at it: {', '.join(workers)}. Try again in a moment.")


def _live_workers(run: Run) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT held.lease_owner FROM migration_ops_runrange AS held"
            f" WHERE held.run_id = %s AND held.number > 0 AND NOT {leases.FREE} ORDER BY held.number",
            [run.pk],
        )
        return [owner for (owner,) in cursor.fetchall()]


def close(opened: Opened, status: RunStatus, *, error: str = "", result: Mapping[str, Any] | None = None) -> None:
    """The process that speaks for the run says how it ended, and gives the run back.

    Raises:
        LeaseLost: it is somebody else's by now; nothing was changed.
    """
    with transaction.atomic():
        leases.renew(opened.lease)
        changes: dict[str, Any] = {"status": status, "requested": "", "error": error, "hold_reason": ""}
        if status not in UNFINISHED:
            changes["ended_at"] = timezone.now()
        if result is not None:
            changes["result"] = dict(result)
        Run.objects.filter(pk=opened.run.pk).update(**changes)
        leases.release(opened.lease)
    opened.run.refresh_from_db()


def request(run: Run, what: str) -> None:
    """Ask the process that works on this run to pause or cancel it; it obeys before its next batch.

    `what` is `PAUSE` or `CANCEL`. Where no living process works on the run, it is done here and now.
    """
    wanted = RunStatus.PAUSED if what == PAUSE else RunStatus.CANCELLED
    try:
        with transaction.atomic():
            taken = leases.claim(run.pk, WHOLE_RUN, settings().lease)
            refuse_live_workers(run)
            close(Opened(run, taken), wanted)
    except LeaseHeld:
        Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(requested=what)
        run.refresh_from_db()
