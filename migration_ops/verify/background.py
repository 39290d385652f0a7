"""A full validation in the background: workers of the queue look, slice by slice, one at a time."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from migration_ops import history, runs
from migration_ops.backfill import background, single
from migration_ops.backfill.background import Woken
from migration_ops.backfill.stop import Stop
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import first_line
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.runs import Opened
from migration_ops.verify import journal as journals
from migration_ops.verify.compare import Tally
from migration_ops.verify.journal import Journal
from migration_ops.verify.validation import close, look

JOINED = label("validation_slice_joined")


def start(migration: AnyMigration, *, actor: str, reason: str = "", as_seen: str = "") -> tuple[Run, Woken]:
    """Begin a full validation, or go on with the one that stopped, and leave it to the workers of the queue.

    One that is with them already stays as it is. Where Redis does not answer, the scheduler wakes a worker later.

    Raises:
        LeaseHeld: a process in the foreground is at it.
        RunChanged: it is not as it was seen (see `runs.refuse_unless_seen`).
    """
    run = runs.unfinished(migration, RunKind.VALIDATION)
    with transaction.atomic():
        runs.refuse_unless_seen(migration, RunKind.VALIDATION, as_seen)
        if run is None or not background.is_with_workers(run):
            before, journal = run, journals.take_up(migration, actor=actor)
            run = journal.run
            runs.hand_over(Opened(run, journal.lease))
            verb = "validation resume" if before is not None and before.pk == run.pk else "validation start"
            history.append(migration, actor=actor, verb=verb, reason=reason, evidence={"run": run.pk})
    return run, background.wake(run)


def work_slice(migration: AnyMigration, run_id: int, *, stop: Stop) -> None:
    """Look on until the time is up, and wake somebody for what is left."""
    single.work_slice(migration, RunKind.VALIDATION, run_id, partial(_slice, migration, stop))


def _slice(migration: AnyMigration, stop: Stop, opened: Opened) -> None:
    failpoint(JOINED)
    run = opened.run
    ranges = list(run.ranges.order_by("number"))
    journal = Journal(migration, run, ranges, opened.lease, list(run.result.get("reasons", [])))
    background.count_attempt(run, sum(Tally.from_json(each.counters).legacy_rows for each in ranges))

    def looked(number: int, tally: Tally) -> None:
        if stop.requested:
            raise single.SliceOver
        single.end_if_asked(run)

    try:
        close(journal, look(journal, sample=None, seed=None, progress=looked), sample=None)
    except single.SliceOver:
        raise
    except Exception as error:
        if not single.passes(error):
            journal.suspend(RunStatus.FAILED, first_line(error))
        raise
