"""The state of one validation in the database: how far each pass is, what it counted, and whom it suspects."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from migration_ops import locks, runs
from migration_ops.backfill import lease
from migration_ops.backfill.lease import Lease
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Cursor
from migration_ops.models import Difference, DifferenceStatus, Run, RunKind, RunRange, RunStatus
from migration_ops.models.run import UNFINISHED
from migration_ops.verify.compare import Kind, Tally

WHOLE = runs.WHOLE_RUN
LEGACY_PASS, MODERN_PASS, SUSPECT_PASS = range(WHOLE + 1, WHOLE + 4)
"""Numbers of a validation's ranges: the one whose lease is the right to work on the run, legacy compared with modern,
modern looked through for extras, suspects."""

_SIDES = {WHOLE: "", LEGACY_PASS: "legacy", MODERN_PASS: "modern", SUSPECT_PASS: ""}


@dataclass(slots=True)
class Journal:
    """A validation at work.

    Attributes:
        reasons: sentences that say why this validation is incomplete.
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
        """Note why this validation cannot be complete, in the caller's transaction."""
        new = [reason for reason in dict.fromkeys(reasons) if reason not in self.reasons]
        if new:
            self.reasons += new
            self.run.result = {"reasons": self.reasons}
            self.run.save(update_fields=["result"])

    def finish(self, result: Mapping[str, Any], *, complete: bool) -> None:
        """Close the run. Only a complete one succeeded, and only then what earlier ones found is past."""
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
            earlier = Difference.objects.filter(migration=self.migration.name, run_id__lt=self.run.pk)
            left = earlier.filter(status=DifferenceStatus.SUSPECT).exclude(run__status__in=UNFINISHED)
            at_work = RunRange.objects.filter(number=WHOLE, done=False, lease_until__gt=Now())
            left.exclude(run__in=at_work.values("run")).delete()
            if complete and self.run.options.keys() <= {"source"}:
                # What differed between modern and this store; of other stores this run knows nothing.
                same = Q(run__options__source=self.migration.rows_from)
                same = same if self.migration.rows_from else ~Q(run__options__has_key="source")
                earlier.filter(same, status=DifferenceStatus.OPEN).update(status=DifferenceStatus.GONE, closed_at=now)

    def suspend(self, status: RunStatus, error: str = "") -> None:
        """Stop here, to be taken up again by the next validation."""
        if self.run.status == RunStatus.RUNNING:
            self.run.status = status
        self.run.error = error
        self.run.save(update_fields=["status", "error"])
        lease.release(self.lease)


def begin(migration: AnyMigration, *, actor: str) -> Journal:
    """Go on with the last full validation if it stopped on its way and is young enough, otherwise begin a new one.

    Raises:
        LeaseHeld: a validation is running; the message says who holds it and until when.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        _alone(migration)
        unfinished = runs.unfinished(migration, RunKind.VALIDATION)
        if unfinished is not None:
            ranges = list(unfinished.ranges.order_by("number"))
            if not ranges[WHOLE].done:
                opened = runs.reopen(unfinished)
                if unfinished.started_at + settings().validation_resume_within >= now:
                    reasons = list(unfinished.result.get("reasons", []))
                    return Journal(migration, opened.run, ranges, opened.lease, reasons)
                lease.release(opened.lease)
            Run.objects.filter(pk=unfinished.pk).update(status=RunStatus.CANCELLED, ended_at=now)
        return _new(migration, actor, RunStatus.RUNNING, {})


def _alone(migration: AnyMigration) -> None:
    """Of two that begin at once, the second sees what the first began."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.lock_id("validation", migration.name)])


def begin_apart(migration: AnyMigration, *, actor: str, options: Mapping[str, Any]) -> Journal:
    """Begin a validation that is never taken up again: until it ends well it counts as cancelled."""
    with transaction.atomic(durable=True):
        return _new(migration, actor, RunStatus.CANCELLED, options)


def _new(migration: AnyMigration, actor: str, status: RunStatus, options: Mapping[str, Any]) -> Journal:
    run = Run.objects.create(
        migration=migration.name,
        kind=RunKind.VALIDATION,
        status=status,
        actor=actor,
        options=dict(options),
        started_at=timezone.now(),
    )
    ranges = [RunRange.objects.create(run=run, number=number, side=side) for number, side in _SIDES.items()]
    return Journal(migration, run, ranges, lease.claim(run.pk, WHOLE, settings().lease))
