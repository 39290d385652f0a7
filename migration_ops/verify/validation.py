"""Proves that both stores hold the same documents, cell by cell, or says what differs, or says why it cannot tell."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from migration_ops.definition import AnyMigration, RowStore, Store, Stray
from migration_ops.exceptions import LeaseLost, Unreadable, UnusableInput
from migration_ops.models import Difference, DifferenceStatus, QuarantineItem, QuarantineStatus, Run, RunKind, RunStatus
from migration_ops.preparation import prepare
from migration_ops.verify import completeness
from migration_ops.verify.compare import Tally
from migration_ops.verify.journal import Journal, begin, begin_apart
from migration_ops.verify.power import power
from migration_ops.verify.recheck import settle
from migration_ops.verify.sample import look_at_sample
from migration_ops.verify.snapshot import in_snapshot
from migration_ops.verify.strays import find as find_strays
from migration_ops.verify.sweep import Progress, sweep


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found.

    Attributes:
        complete: everything that was asked for was seen; without it nothing is proven.
        reasons: sentences that say why it is not complete.
        sample: documents asked for; None for all there are.
        seconds: time worked, over all processes that took part.
        quarantine_open: legacy rows that wait for a decision now, those among them that a dry run may not record.
        unrecorded: the latter, by code.
        strays: rows of the modern store that belong to no document; a full validation looks for them.
    """

    migration: AnyMigration
    run: Run
    complete: bool
    tally: Tally
    reasons: tuple[str, ...] = ()
    sample: int | None = None
    seconds: float = 0.0
    ended_at: datetime = field(default_factory=timezone.now)
    quarantine_open: int = 0
    unrecorded: Mapping[str, int] = field(default_factory=dict)
    strays: tuple[Stray, ...] = ()

    @property
    def stray_rows(self) -> int:
        return sum(stray.rows for stray in self.strays)

    @property
    def unsettled(self) -> int:
        """Differences that were found and that nobody has explained."""
        explained = Difference.objects.filter(run_id=self.run.pk, status=DifferenceStatus.EXPLAINED).count()
        return max(0, self.tally.differences - explained)

    @property
    def power(self) -> float | None:
        """What a sample proves (see `power.power`); None for a full validation, which proves everything."""
        return None if self.sample is None else power(self.tally.compared)

    def particulars(self) -> dict[str, Any]:
        """What only a run of this kind has to say, as JSON."""
        return {}

    def differences(self) -> Iterator[Difference]:
        """Confirmed differences, in the order they were found; constant memory."""
        found = Difference.objects.filter(run=self.run).exclude(status=DifferenceStatus.SUSPECT)
        return found.order_by("pk").iterator(chunk_size=500)


def validate(
    migration: AnyMigration,
    *,
    actor: str,
    sample: int | None = None,
    seed: int | None = None,
    keep: bool = True,
    progress: Progress = lambda number, tally: None,
) -> Validation:
    """Compare everything, or `sample` documents chosen with `seed` on each side.

    A full validation that was killed or interrupted is taken up again where it stopped; one of a file (see
    `sync.source.beside`) begins anew. `keep=False` begins one of its own, for a dry run: discard it with `discard`
    afterwards.

    Raises:
        LeaseHeld: a full validation is running already.
        UnusableInput: the sample is empty, or the legacy store cannot be used at all.
    """
    if sample is not None and sample < 1:
        raise UnusableInput(f"A sample of {sample} proves nothing; ask for 1 at least.")
    journal = _begin(migration, actor, sample, keep)
    try:
        with suspending(journal):
            strays = look(journal, sample=sample, seed=seed, progress=progress)
    except Unreadable as error:
        return _validation(journal, sample, (*journal.reasons, str(error)))
    return close(journal, strays, sample=sample)


def look(journal: Journal, *, sample: int | None, seed: int | None, progress: Progress) -> tuple[Stray, ...]:
    """Look from where the journal stands to the end; what interrupts this comes out as it is.

    Raises:
        Unreadable: a store could not be read whole.
        LeaseLost: another process went on with this run.
    """
    legacy, modern = journal.migration.legacy(), journal.migration.modern()
    if sample is None:
        sweep_whole(journal, legacy, modern, progress)
    else:
        chosen = secrets.randbits(31) if seed is None else seed
        look_at_sample(journal, legacy, modern, sample, chosen, progress)
    settle(journal, legacy, modern)
    return look_around(journal, legacy, modern) if sample is None else ()


def close(journal: Journal, strays: tuple[Stray, ...], *, sample: int | None) -> Validation:
    """Everything that was asked for was looked at: close the run with what it found."""
    validation = _validation(journal, sample, tuple(journal.reasons), strays)
    journal.finish(summary(validation), complete=validation.complete, looked_at=Q() if sample is None else None)
    return validation


@contextmanager
def suspending(journal: Journal) -> Iterator[None]:
    """Whatever ends this early leaves a run that can be taken up again; what was raised goes on."""
    try:
        yield
    except LeaseLost:
        raise
    except KeyboardInterrupt:
        journal.suspend(RunStatus.PAUSED)
        raise
    except BaseException as error:
        journal.suspend(RunStatus.FAILED, str(error))
        raise


def sweep_whole(journal: Journal, legacy: RowStore[Any, Any], modern: Store[Any, Any], progress: Progress) -> None:
    """Compare everything there is, and say to whoever watches how much that will be.

    Raises:
        Unreadable: a store could not be read whole.
    """
    if journal.run.total is None:
        prepare(legacy, journal.keep_lease)
        journal.run.total = in_snapshot(lambda _: legacy.estimate(), 1)
        journal.run.save(update_fields=["total"])
    sweep(journal, legacy, modern, progress)


def look_around(journal: Journal, legacy: RowStore[Any, Any], modern: Store[Any, Any]) -> tuple[Stray, ...]:
    """After everything was compared: what belongs to no document, and whether it can have been everything.

    Raises:
        Unreadable: a store could not be read whole.
    """
    migration = journal.migration
    found = find_strays(migration)
    journal.reasons += in_snapshot(lambda _: completeness.reasons(migration, legacy, modern, journal.tally()), 1)
    return found


def discard(validation: Validation) -> None:
    """Remove what a validation with `keep=False` noted about itself."""
    validation.run.delete()


def summary(validation: Validation) -> dict[str, Any]:
    """The numbers of a validation, under the names of the contract."""
    tally = validation.tally
    return {
        "complete": validation.complete,
        "legacy_rows": tally.legacy_rows,
        f"{validation.migration.plural}_compared": tally.compared,
        "matched": tally.matched,
        "mismatched": tally.mismatched,
        "missing_in_modern": tally.missing_in_modern,
        "missing_in_legacy": tally.missing_in_legacy,
        "rows_quarantined": tally.rows_quarantined,
        "cells": {"legacy": tally.cells_legacy, "modern": tally.cells_modern, "equal": tally.cells_equal},
        "success_rate": tally.success_rate,
        "stray_rows": validation.stray_rows,
        "strays": [asdict(stray) for stray in validation.strays],
        "difference_count": tally.differences + validation.stray_rows,
        "explained": tally.differences - validation.unsettled,
        "quarantine_open": validation.quarantine_open,
        "sample": validation.sample,
        "source": validation.migration.rows_from or None,
        "power": validation.power,
        "seconds": round(validation.seconds, 3),
        "reasons": list(validation.reasons),
    }


def empty_summary(migration: AnyMigration) -> dict[str, Any]:
    """The same before anything was seen."""
    return summary(Validation(migration=migration, run=Run(), complete=False, tally=Tally()))


def _begin(migration: AnyMigration, actor: str, sample: int | None, keep: bool) -> Journal:
    apart: dict[str, Any] = {"source": migration.rows_from} if migration.rows_from else {}
    if sample is not None:
        apart["sample"] = sample
    if not keep:
        apart["dry_run"] = 1
    if apart:
        return begin_apart(migration, RunKind.VALIDATION, actor=actor, options=apart)
    return begin(migration, RunKind.VALIDATION, actor=actor)


def _validation(
    journal: Journal, sample: int | None, reasons: tuple[str, ...], strays: tuple[Stray, ...] = ()
) -> Validation:
    return Validation(
        migration=journal.migration,
        run=journal.run,
        complete=not reasons,
        tally=journal.tally(),
        reasons=reasons,
        sample=sample,
        seconds=journal.run.worked_seconds,
        quarantine_open=quarantine_open(journal),
        unrecorded=dict(journal.unrecorded),
        strays=strays,
    )


def quarantine_open(journal: Journal) -> int:
    """Legacy rows that wait for a decision, and those that a dry run may not record."""
    waiting = QuarantineItem.objects.filter(migration=journal.migration.name, status=QuarantineStatus.OPEN).count()
    return waiting + journal.unrecorded.total()
