"""The state of one validation or drift run in the database: how far each pass is, what it counted, whom it suspects."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from migration_ops import locks, runs
from migration_ops.backfill import lease
from migration_ops.backfill.lease import Lease
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Cursor
from migration_ops.exceptions import LeaseHeld
from migration_ops.models import Difference, DifferenceStatus, Run, RunKind, RunRange, RunStatus, TouchedKey
from migration_ops.models.run import UNFINISHED
from migration_ops.sentence import said
from migration_ops.verify import lifecycle, mark
from migration_ops.verify.compare import Kind, Tally
from migration_ops.verify.mark import Mark

WHOLE = runs.WHOLE_RUN
LEGACY_PASS, MODERN_PASS, SUSPECT_PASS, GATHER_PASS, TOUCHED_PASS = range(WHOLE + 1, WHOLE + 6)
"""Numbers of the ranges: the one whose lease is the right to work on the run, legacy compared with modern, modern
looked through for extras, suspects; of a drift run also finding out what was touched, and that compared."""

_VALIDATION = {WHOLE: "", LEGACY_PASS: "legacy", MODERN_PASS: "modern", SUSPECT_PASS: ""}

_SIDES: Mapping[RunKind, Mapping[int, str]] = {
    RunKind.VALIDATION: _VALIDATION,
    RunKind.DRIFT: {**_VALIDATION, GATHER_PASS: "", TOUCHED_PASS: ""},
}

_OWN = frozenset({*(each.name for each in fields(Mark)), "seed"})
"""Options that a run has of its own, whatever was asked."""

_LONG = timedelta(minutes=5)
"""For a single statement that reads a whole table; whoever holds the lease is missed at once when its session ends."""


@dataclass(slots=True)
class Journal:
    """A run at work.

    Attributes:
        reasons: sentences that say why this run is incomplete.
        unrecorded: rejected rows by code that should be in quarantine and are not, because this is a dry run.
    """

    migration: AnyMigration
    run: Run
    ranges: list[RunRange]
    lease: Lease
    reasons: list[str] = field(default_factory=list)
    unrecorded: Counter[str] = field(default_factory=Counter)
    _clock: float = field(default_factory=time.monotonic)

    @property
    def mark(self) -> Mark:
        """When this run began to look."""
        return Mark(*(int(self.run.options[name]) for name in ("seen", "lost")))

    @property
    def leaves_no_trace(self) -> bool:
        """A dry run notes nothing but itself."""
        return "dry_run" in self.run.options

    def tally(self) -> Tally:
        """What all passes counted so far."""
        total = Tally()
        for each in self.ranges:
            total.add(Tally.from_json(each.counters))
        return total

    def advance(self, number: int, tally: Tally, *, cursor: Cursor | None = None, done: bool = False) -> None:
        """Note how far this pass is and what the last step of it counted, in the caller's transaction.

        Raises:
            LeaseLost: another process went on with this run; roll back.
        """
        lease.renew(self.lease)
        at = self.ranges[number]
        counters = Tally.from_json(at.counters)
        counters.add(tally)
        at.counters, at.cursor, at.done = counters.as_json(), cursor, done
        at.save(update_fields=["counters", "cursor", "done"])
        now = time.monotonic()
        self.run.worked_seconds += now - self._clock
        self._clock = now
        self.run.save(update_fields=["worked_seconds"])

    def keep_lease(self) -> None:
        """Say that this process is still there, outside of a transaction.

        Raises:
            LeaseLost: another process went on with this run.
        """
        lease.renew(self.lease)

    def suspect(self, suspects: Mapping[Any, Kind]) -> None:
        """Keep these keys to be looked at again, in the caller's transaction."""
        now = timezone.now()
        Difference.objects.bulk_create(
            (
                Difference(
                    migration=self.migration.name,
                    run=self.run,
                    key=self.migration.encode_key(key),
                    kind=kind.value,
                    status=DifferenceStatus.SUSPECT,
                    found_at=now,
                )
                for key, kind in suspects.items()
            ),
            ignore_conflicts=True,
        )

    def doubt(self, reasons: Iterable[str]) -> None:
        """Note why this run cannot be complete, in the caller's transaction."""
        new = [reason for reason in dict.fromkeys(reasons) if reason not in self.reasons]
        if new:
            self.reasons += new
            self.run.result = {"reasons": self.reasons}
            self.run.save(update_fields=["result"])

    @contextmanager
    def long_lease(self) -> Iterator[None]:
        """What is done in here may take minutes without a word.

        Raises:
            LeaseLost: another process went on with this run.
        """
        lease.renew(replace(self.lease, duration=_LONG))
        yield
        lease.renew(self.lease)

    def pass_done(self, number: int) -> None:
        """Note that this pass has done all of its work, in the caller's transaction."""
        self.advance(number, Tally(), done=True)

    def finish(self, result: Mapping[str, Any], *, complete: bool, looked_at: Q | None) -> None:
        """Close the run. Only a complete one succeeded, and only then what earlier ones found is past.

        Args:
            looked_at: the earlier differences whose documents this run looked at; None where that is not known.
        """
        now = timezone.now()
        with transaction.atomic(durable=True):
            self.run.result = dict(result)
            self.run.ended_at = now
            if complete and not self.leaves_no_trace:
                self.run.status = RunStatus.SUCCEEDED
            elif self.run.status == RunStatus.RUNNING:
                self.run.status = RunStatus.FAILED
            self.run.error = " ".join(self.reasons)
            lease.update(self.lease, done=True)
            lease.release(self.lease)
            self.run.save(update_fields=["result", "ended_at", "status", "error"])
            if self.leaves_no_trace:
                return
            lifecycle.forget_suspects(self.migration, self.run, UNFINISHED)
            if complete and looked_at is not None:
                lifecycle.close_vanished(self.migration, self.run, looked_at)
                if not self.migration.rows_from:
                    mark.keep(self.migration, self.mark, at=self.run.started_at)
            TouchedKey.objects.filter(run=self.run).delete()

    def suspend(self, status: RunStatus, error: str = "") -> None:
        """Stop here, to be taken up again by the next run of its kind."""
        if self.run.status == RunStatus.RUNNING:
            self.run.status = status
        self.run.error = error
        self.run.save(update_fields=["status", "error"])
        lease.release(self.lease)


def begin(
    migration: AnyMigration, kind: RunKind = RunKind.VALIDATION, *, actor: str, options: Mapping[str, Any] | None = None
) -> Journal:
    """Go on with the last run of this kind if it stopped on its way and is young enough, otherwise begin a new one.

    Args:
        options: what is asked; one that was asked something else is not taken up again.

    Raises:
        LeaseHeld: one is running; the message says who holds it and until when.
    """
    with transaction.atomic(durable=True):
        return take_up(migration, kind, actor=actor, options=options)


def take_up(
    migration: AnyMigration, kind: RunKind = RunKind.VALIDATION, *, actor: str, options: Mapping[str, Any] | None = None
) -> Journal:
    """As `begin`, in the caller's transaction."""
    now, wanted = timezone.now(), dict(options or {})
    _alone(migration)
    unfinished = runs.unfinished(migration, kind)
    if unfinished is not None:
        ranges = list(unfinished.ranges.order_by("number"))
        if not ranges[WHOLE].done:
            opened = runs.reopen(unfinished)
            if goes_on(unfinished, wanted):
                reasons = list(unfinished.result.get("reasons", []))
                return Journal(migration, opened.run, ranges, opened.lease, reasons)
            lease.release(opened.lease)
        TouchedKey.objects.filter(run=unfinished).delete()
        Run.objects.filter(pk=unfinished.pk).update(status=RunStatus.CANCELLED, ended_at=now)
    return _new(migration, kind, actor, RunStatus.RUNNING, wanted)


def goes_on(unfinished: Run, options: Mapping[str, Any]) -> bool:
    """Whether `take_up` goes on with this run, which nobody has finished, when it is asked for this."""
    young = unfinished.started_at + settings().validation_resume_within >= timezone.now()
    return unfinished.ended_at is None and young and _asked(unfinished.options) == _asked(options)


def _asked(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _OWN}


def _alone(migration: AnyMigration) -> None:
    """Of two that begin at once, the second sees what the first began."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.lock_id("validation", migration.name)])


def refuse_if_held(migration: AnyMigration, kind: RunKind) -> None:
    """Somebody works on a run of this kind.

    Raises:
        LeaseHeld: the message says who holds it and until when.
    """
    unfinished = runs.unfinished(migration, kind)
    held = None if unfinished is None else lease.holder(unfinished.pk)
    if unfinished is not None and held is not None:
        who = said("It is held by %(holder)s.", holder=str(held))
        raise LeaseHeld(said("Another process is working on run %(run)s. %(who)s", run=str(unfinished.pk), who=who))


def begin_apart(migration: AnyMigration, kind: RunKind, *, actor: str, options: Mapping[str, Any]) -> Journal:
    """Begin a run that is never taken up again: until it ends well it counts as cancelled."""
    with transaction.atomic(durable=True):
        return _new(migration, kind, actor, RunStatus.CANCELLED, options)


def _new(migration: AnyMigration, kind: RunKind, actor: str, status: RunStatus, options: Mapping[str, Any]) -> Journal:
    run = Run.objects.create(
        migration=migration.name,
        kind=kind,
        status=status,
        actor=actor,
        options={**asdict(mark.now()), **options},
        started_at=timezone.now(),
    )
    sides = _SIDES[kind].items()
    ranges = [RunRange.objects.create(run=run, number=number, side=side) for number, side in sides]
    return Journal(migration, run, ranges, lease.claim(run.pk, WHOLE, settings().lease))
