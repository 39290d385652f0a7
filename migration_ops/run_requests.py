"""What is asked of a run: that it pauses, or ends. Whoever works on it obeys; where nobody does, it is done at once."""

from __future__ import annotations

import time

from django.db import transaction

from migration_ops import history, runs
from migration_ops.backfill import lease as leases
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import LeaseHeld, Refused
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.models.run import UNFINISHED
from migration_ops.runs import Opened
from migration_ops.sentence import said, word

OBEYED = 10.0
"""Seconds that commands wait until a run is paused or given up; whoever works on it obeys after the step at hand."""

PAUSE = "pause"
CANCEL = "cancel"
FAIL = "fail"

WANTED = {PAUSE: RunStatus.PAUSED, CANCEL: RunStatus.CANCELLED, FAIL: RunStatus.FAILED}
"""What becomes of a run of which this was asked."""


def ask(migration: AnyMigration, kind: RunKind, what: str, *, actor: str, reason: str = "", as_seen: str = "") -> Run:
    """Have the unfinished run of this kind pause (`PAUSE`) or give it up (`CANCEL`), after the step at hand.

    Returns at once. Where nobody works on the run it is done by then; otherwise `requested` says what was asked.

    Raises:
        Refused: there is none, or it is a validation in the foreground, which hears nothing but Ctrl-C.
        RunChanged: it is not as it was seen (see `runs.refuse_unless_seen`).
    """
    run = runs.unfinished(migration, kind)
    if run is None:
        raise Refused(
            said("There is no unfinished %(kind)s of %(migration)s.", kind=word(kind.value), migration=migration.name)
        )
    if kind is not RunKind.BACKFILL and not run.queued and (holder := leases.holder(run.pk)):
        where = {"run": str(run.pk), "holder": str(holder)}
        raise Refused(said("Run %(run)s is in the foreground, held by %(holder)s; end it there.", **where))
    with transaction.atomic():
        runs.refuse_unless_seen(migration, kind, as_seen)
        request(run, what)
        history.append(migration, actor=actor, verb=f"{kind} {what}", reason=reason, evidence={"run": run.pk})
    return run


def wait_until_obeyed(run: Run, what: str, *, seconds: float) -> bool:
    """Wait until whoever works on this run has done what was asked of it; whether that came to pass.

    Raises:
        Refused: it ended in another way, with an error.
    """
    deadline = time.monotonic() + seconds
    while run.status == RunStatus.RUNNING and time.monotonic() < deadline:
        time.sleep(runs.NOTICED)
        if not leases.holders(run.pk):
            request(run, what)  # whoever was asked ended or died meanwhile
        run.refresh_from_db()
    if run.status not in (RunStatus.RUNNING, WANTED[what], RunStatus.SUCCEEDED):
        raise Refused(f"Run {run.pk} is {run.status} by now: {run.error}")
    return run.status != RunStatus.RUNNING


def request(run: Run, what: str) -> None:
    """Ask the process that works on this run to pause or cancel it; it obeys before its next batch.

    `what` is `PAUSE`, `CANCEL` or `FAIL`. Where no living process works on the run, it is done here and now.
    """
    if not settle(run, what):
        Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(requested=what)
        run.refresh_from_db()


def settle(run: Run, what: str, *, error: str = "") -> bool:
    """Do what was asked of this run, if no living process works on it; whether that is so."""
    try:
        with transaction.atomic():
            taken = leases.claim(run.pk, runs.WHOLE_RUN, settings().lease)
            runs.refuse_live_workers(run)
            run.refresh_from_db()
            if run.status in UNFINISHED:
                runs.close(Opened(run, taken), WANTED[what], error=error)
            else:
                leases.release(taken)  # it has ended by itself
    except LeaseHeld:
        return False
    return True
