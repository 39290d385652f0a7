"""Selectors: the runs of a migration as people are shown them, those that can go on and those that have ended."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from migration_ops import overview, runs
from migration_ops.backfill import background, opening, report
from migration_ops.backfill import lease as leases
from migration_ops.backfill.background import Woken
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.lease import Holder
from migration_ops.backfill.progress import Progress
from migration_ops.definition import AnyMigration
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.models.run import UNFINISHED
from migration_ops.sentence import said
from migration_ops.verify import journal

_AT_HAND = Q(status__in=UNFINISHED, ended_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """A run that has not ended.

    Attributes:
        holders: who works on it.
        can_go_on: whether it goes on where it stopped; otherwise a new one takes its place.
        problem: what keeps it from going on now; "" where nothing does, or where a person stopped it.
    """

    run: Run
    progress: Progress
    holders: tuple[Holder, ...]
    can_go_on: bool
    problem: str

    @property
    def is_abandoned(self) -> bool:
        """Whether it ran in the foreground, and its process is gone."""
        return self.run.status == RunStatus.RUNNING and not self.run.queued and not self.holders


def at_hand(migration: AnyMigration) -> list[AtHand]:
    """The runs that have not ended, at most one of each kind; in the order of the kinds."""
    found = {run.kind: run for run in Run.objects.filter(_AT_HAND, migration=migration.name)}
    return [look(migration, found[kind]) for kind in RunKind.values if kind in found]


def look(migration: AnyMigration, run: Run) -> AtHand:
    """This run at this moment."""
    holders = tuple(leases.holders(run.pk)) if run.status == RunStatus.RUNNING else ()
    problem = ""
    if background.is_with_workers(run):
        problem = background.problem(migration, Woken())
    elif run.status == RunStatus.RUNNING and not holders:
        problem = said("The process that worked on it is gone.")
    return AtHand(
        run=run,
        progress=progress_of(run),
        holders=holders,
        can_go_on=_can_go_on(migration, run),
        problem=problem,
    )


def progress_of(run: Run) -> Progress:
    """How far a run of any kind is."""
    if run.kind in (RunKind.BACKFILL, RunKind.REHEARSAL):
        return report.progress_of(run)
    counters = Counters(rows_read=overview.rows_looked_at(run))
    return Progress.of(counters, expected=run.total, seconds=run.worked_seconds)


def ended(migration: AnyMigration, kind: str = "") -> QuerySet[Run]:
    """The runs of this kind, or of all, that have ended, the newest first, with their ranges."""
    found = Run.objects.filter(migration=migration.name).exclude(_AT_HAND).order_by("-id")
    return (found.filter(kind=kind) if kind else found).prefetch_related("ranges")


def counters_of(run: Run) -> Counters:
    """As `report.counters_of`, of a run that was listed with its ranges."""
    return Counters.total(each.counters for each in run.ranges.all() if each.number > runs.WHOLE_RUN)


def _can_go_on(migration: AnyMigration, run: Run) -> bool:
    if run.kind == RunKind.BACKFILL:
        return not opening.is_overtaken(migration, run)
    if run.kind == RunKind.REHEARSAL:
        return background.is_with_workers(run)
    return run.kind == RunKind.VALIDATION and journal.goes_on(run, {})
