"""Runs of every kind: which there are, and who speaks for one, from its beginning to its end.

A run of several workers has range 0 for the process that speaks for the whole run; its work is in the ranges from 1 on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from migration_ops.backfill import lease as leases
from migration_ops.backfill.lease import Lease
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Span
from migration_ops.exceptions import LeaseHeld, RunChanged
from migration_ops.models import Run, RunKind, RunRange, RunStatus
from migration_ops.models.run import UNFINISHED
from migration_ops.sentence import said, word

WHOLE_RUN = 0
"""Number of the range that carries the lease on the whole run and no work."""

NOTICED = 0.05
"""Seconds between two looks whether the server has noticed that a process is gone."""


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


def standing(migration: AnyMigration, kind: RunKind) -> Run | None:
    """The run that whoever acts on runs of this kind acts on: the unfinished one, or else the latest."""
    return unfinished(migration, kind) or latest(migration, kind)


def seen(run: Run | None) -> str:
    """What somebody has seen who looked at this run, so that nothing else is acted on; how far it is does not count."""
    if run is None:
        return "none"
    return f"{run.pk} {run.status} {'queued' if run.queued else 'here'} {run.requested}".strip()


def refuse_unless_seen(migration: AnyMigration, kind: RunKind, as_seen: str) -> None:
    """The run of this kind must be as somebody saw it; it stays so to the end of the caller's transaction.

    Args:
        as_seen: what `seen` said then; "" for whatever there is.

    Raises:
        RunChanged: it is not.
    """
    if not as_seen:
        return
    run = standing(migration, kind)
    if run is not None:
        run = Run.objects.select_for_update().get(pk=run.pk)
    if seen(run) != as_seen:
        raise RunChanged(said("Somebody changed this run in the meantime; look again and decide anew."))


def work_ranges(run: Run) -> list[RunRange]:
    """The ranges of this run in their order."""
    return list(run.ranges.filter(number__gt=WHOLE_RUN).order_by("number"))


def undone_ranges(run: Run) -> list[RunRange]:
    """Those of them that still have work."""
    return [each for each in work_ranges(run) if not each.done]


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
        named = {"kind": word(kind.value), "migration": migration.name}
        raise LeaseHeld(said("Another process has just started a %(kind)s of %(migration)s.", **named)) from None
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
    """Speak for an unfinished run: it is running again, in the foreground, and nothing is asked of it.

    Raises:
        LeaseHeld: a living process works on it.
    """
    with transaction.atomic():
        taken = leases.claim(run.pk, WHOLE_RUN, settings().lease)
        refuse_live_workers(run)
        Run.objects.filter(pk=run.pk).update(
            status=RunStatus.RUNNING, requested="", error="", hold_reason="", options=run.options, queued=False
        )
    run.refresh_from_db()
    return Opened(run, taken)


def refuse_live_workers(run: Run) -> None:
    """Workers may outlive the process that started them by one batch.

    Raises:
        LeaseHeld: one of them still works.
    """
    workers = [held.owner for held in leases.holders(run.pk) if held.number != WHOLE_RUN]
    if workers:
        raise LeaseHeld(
            said(
                "Workers of run %(run)s are still at it: %(workers)s. Try again in a moment.",
                run=str(run.pk),
                workers=", ".join(workers),
            )
        )


def let_the_dead_go(run: Run) -> None:
    """Wait until the server has noticed that whoever held this run was killed, and until its workers have stopped.

    That takes milliseconds, or a batch. Returns at once when nobody is there, when the holder may be alive, and for a
    run in the background, for which no process speaks. Not in a transaction: there the server's list of sessions stays
    as it was at first sight.
    """
    if run.queued:
        return
    deadline = time.monotonic() + settings().lease.total_seconds()
    while held := leases.holders(run.pk):
        speaker = next((each for each in held if each.number == WHOLE_RUN), None)
        if (speaker is not None and not leases.gone(speaker.owner)) or time.monotonic() > deadline:
            return
        time.sleep(NOTICED)


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


def hand_over(opened: Opened, **options: Any) -> None:
    """Leave this run to the workers of the queue; in the caller's transaction.

    Args:
        options: what they have to remember in addition to what the run knows.
    """
    run = opened.run
    run.queued, run.attempts = True, 0
    run.options = {**run.options, **options}
    run.save(update_fields=["queued", "attempts", "options"])
    leases.release(opened.lease)
