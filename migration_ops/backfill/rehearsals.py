"""A dry run of everything in the background: what a backfill would do now, found out by workers of the queue.

It reads and compares as a backfill would and writes nothing but how far it is. One that stopped is not gone on with:
what it found would be of two times.
"""

from __future__ import annotations

import time
from functools import partial

from django.db import transaction
from django.db.models import F

from migration_ops import history, runs
from migration_ops.backfill import background, dry_run, report, single
from migration_ops.backfill import lease as leases
from migration_ops.backfill.background import Woken
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.stop import Stop
from migration_ops.definition import AnyMigration, Side, Span
from migration_ops.exceptions import first_line
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Run, RunKind, RunRange, RunStatus
from migration_ops.runs import Opened, Plan

NOTED = label("rehearsal_noted")


def start(migration: AnyMigration, *, actor: str, reason: str = "", as_seen: str = "") -> tuple[Run, Woken]:
    """Leave a dry run of the legacy store to the workers of the queue; one that is with them already stays as it is.

    Raises:
        LeaseHeld: somebody began one at the same moment.
        RunChanged: it is not as it was seen (see `runs.refuse_unless_seen`).
    """
    run = runs.unfinished(migration, RunKind.REHEARSAL)
    with transaction.atomic():
        runs.refuse_unless_seen(migration, RunKind.REHEARSAL, as_seen)
        if run is None or not background.is_with_workers(run):
            if run is not None:
                runs.close(runs.reopen(run), RunStatus.CANCELLED, error="Begun anew.")
            legacy = migration.legacy()
            plan = Plan(spans=legacy.spans(1), side=Side.LEGACY, options={}, total=legacy.estimate())
            opened = runs.open_new(migration, RunKind.REHEARSAL, plan, actor=actor)
            runs.hand_over(opened)
            run = opened.run
            history.append(migration, actor=actor, verb="rehearsal start", reason=reason, evidence={"run": run.pk})
    return run, background.wake(run)


def latest(migration: AnyMigration) -> Run | None:
    """The last one that came to its end."""
    found = Run.objects.filter(migration=migration.name, kind=RunKind.REHEARSAL, status=RunStatus.SUCCEEDED)
    return found.order_by("-id").first()


def work_slice(migration: AnyMigration, run_id: int, *, stop: Stop) -> None:
    """Read on until the time is up, and wake somebody for what is left."""
    single.work_slice(migration, RunKind.REHEARSAL, run_id, partial(_work, migration, stop))


def _work(migration: AnyMigration, stop: Stop, opened: Opened) -> None:
    background.count_attempt(opened.run, report.counters_of(opened.run).rows_read)
    try:
        for each in runs.undone_ranges(opened.run):
            _read(migration, opened, each, stop)
    except single.SliceOver:
        raise
    except Exception as error:
        if not single.passes(error):
            runs.close(opened, RunStatus.FAILED, error=first_line(error))
        raise
    opened.run.refresh_from_db()
    runs.close(opened, RunStatus.SUCCEEDED, result=report.figures(migration, opened.run))


def _read(migration: AnyMigration, opened: Opened, each: RunRange, stop: Stop) -> None:
    legacy, began = migration.legacy(), time.monotonic()
    span, keep_lease = Span(each.cursor or each.after, each.until), partial(leases.renew, opened.lease)
    for page, saved in dry_run.pages(migration, legacy, span, working=keep_lease):
        each.counters = Counters.of(each.counters).plus(page, saved).stored()
        each.cursor, each.done = page.cursor, page.cursor is None
        worked, began = time.monotonic() - began, time.monotonic()
        with transaction.atomic():
            leases.renew(opened.lease)
            each.save(update_fields=["counters", "cursor", "done"])
            Run.objects.filter(pk=opened.run.pk).update(worked_seconds=F("worked_seconds") + worked)
        failpoint(NOTED)
        if stop.requested:
            raise single.SliceOver
        single.end_if_asked(opened.run)
