"""Evidence that tests plant: what was counted, as if it had happened so long ago."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from migration_ops.definition import AnyMigration
from migration_ops.models import Metric
from migration_ops.observe import histogram
from tests.engine.syncing import rows

MINUTES = timedelta(minutes=5)


def count(
    migration: AnyMigration,
    what: str,
    outcome: str = "",
    times: int = 1,
    *,
    side: str = "",
    step: int = 0,
    ago: timedelta = MINUTES,
    buckets: Sequence[int] | None = None,
) -> None:
    """So many times this happened in the minute that was `ago`."""
    ((minute,),) = rows("SELECT date_trunc('minute', clock_timestamp() - %s)", ago)
    if buckets is None:
        buckets = histogram.empty()
        buckets[histogram.place(0.002)] = times
    Metric.objects.create(
        migration=migration.name,
        minute=minute,
        name=what,
        side=side,
        outcome=outcome,
        step=step,
        count=sum(buckets),
        seconds=0.002 * times,
        histogram=buckets,
    )
