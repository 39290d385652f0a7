"""Selectors: what there is to say of a backfill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migration_ops import runs
from migration_ops.backfill import lease as leases
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.progress import Progress
from migration_ops.definition import AnyMigration
from migration_ops.models import QuarantineItem, QuarantineStatus, Run, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run as commands show it.

    Attributes:
        data: the JSON object.
        open_quarantine: rows of the migration that wait for a decision.
    """

    data: dict[str, Any]
    status: str
    open_quarantine: int


def counted(migration: AnyMigration, counters: Counters) -> dict[str, int]:
    """The counts under the names of the contract, e.g. `boards_written`."""
    return {
        "rows_read": counters.rows_read,
        f"{migration.plural}_written": counters.written,
        f"{migration.plural}_unchanged": counters.unchanged,
        f"{migration.plural}_merged": counters.merged,
        "rows_quarantined": counters.quarantined,
    }


def counters_of(run: Run) -> Counters:
    """What all ranges of this run counted, as committed."""
    return Counters.total(run.ranges.filter(number__gt=runs.WHOLE_RUN).values_list("counters", flat=True))


def progress_of(run: Run) -> Progress:
    """How far this run is."""
    limit = run.options.get("limit")
    expected = run.total if limit is None or run.total is None else min(run.total, limit)
    return Progress.of(counters_of(run), expected=expected, seconds=run.worked_seconds, hold_reason=run.hold_reason)


def figures(migration: AnyMigration, run: Run) -> dict[str, Any]:
    """Counts and speed of this run."""
    counters = counters_of(run)
    seconds = round(run.worked_seconds, 3)
    return {
        **counted(migration, counters),
        "seconds": seconds,
        "rows_per_second": round(counters.rows_read / seconds, 1) if seconds else 0.0,
        "limit": run.options.get("limit"),
        "source": run.options.get("source"),
    }


def describe(migration: AnyMigration, run: Run) -> Report:
    """This run, at this moment or as it ended."""
    run.refresh_from_db()
    data: dict[str, Any] = {"run": run.pk, "status": run.status, **figures(migration, run)}
    data.update({name: value for name, value in run.result.items() if name != "refused"})
    if run.error:
        data["error"] = run.error
    waiting = QuarantineItem.objects.filter(migration=migration.name, status=QuarantineStatus.OPEN).count()
    return Report(data=data, status=run.status, open_quarantine=waiting)


def status(migration: AnyMigration, run: Run) -> Report:
    """As `describe`, with how far the run is and who works on it."""
    report = describe(migration, run)
    holder = leases.holder(run.pk) if run.status == RunStatus.RUNNING else None
    report.data.update(
        {
            **progress_of(run).as_dict(),
            "queued": run.queued,
            "requested": run.requested,
            "hold_reason": run.hold_reason,
            "lease": None if holder is None else {"holder": holder.owner, "until": holder.until.isoformat()},
            "ranges": [
                {
                    "number": each.number,
                    "done": each.done,
                    "cursor": each.cursor,
                    "rows_read": Counters.of(each.counters).rows_read,
                    "holder": each.lease_owner,
                }
                for each in runs.work_ranges(run)
            ],
        }
    )
    return report
