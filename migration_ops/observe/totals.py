"""Selectors: what was counted, added up over a span of time and steps. They take milliseconds after months of counting.

A minute counts only if all of it lies within the span, so that nothing older slips in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection

from migration_ops.definition import AnyMigration, Side
from migration_ops.observe import histogram
from migration_ops.observe.measures import What

_COUNTS = """
SELECT side, outcome, sum(count)::bigint, extract(epoch FROM clock_timestamp() - max(minute))::float
  FROM migration_ops_metric
 WHERE migration = %s AND name = %s AND step BETWEEN %s AND %s
   AND minute >= coalesce(clock_timestamp() - %s::interval, '-infinity')
 GROUP BY side, outcome
"""

# From the newest minute back until there are enough: what came before would not say it more clearly.
_LATENCIES = """
SELECT number - 1, sum(here)::bigint, min(age)
  FROM (SELECT histogram, extract(epoch FROM clock_timestamp() - minute)::float AS age,
               sum(count) OVER (ORDER BY minute DESC, id) - count AS newer
          FROM migration_ops_metric
         WHERE migration = %s AND name = %s AND side = %s AND step = %s
           AND minute >= clock_timestamp() - %s::interval) AS minutes,
       unnest(histogram) WITH ORDINALITY AS bucket (here, number)
 WHERE newer < %s AND here > 0
 GROUP BY number
"""

_EVER = """
SELECT name, side, outcome, sqlstate, cohort, count, seconds, histogram
  FROM migration_ops_metrictotal WHERE migration = %s
 ORDER BY name, side, outcome, sqlstate, cohort
"""

_ANY_STEP = (0, 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Totals:
    """How often something happened, by store and outcome.

    Attributes:
        age: seconds since the newest minute of it began; None where it never happened.
    """

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    age: float | None = None

    def of(self, *outcomes: str, side: Side | None = None) -> int:
        """How often it ended in one of these outcomes, or in any if none is named; in one store, or in all."""
        return sum(
            count
            for (where, outcome), count in self.counts.items()
            if (side is None or where == side.value) and (not outcomes or outcome in outcomes)
        )


@dataclass(frozen=True, slots=True)
class Ever:
    """What was counted together since counting began; the attributes are those of `MetricTotal`."""

    name: str
    side: str
    outcome: str
    sqlstate: str
    cohort: str
    count: int
    seconds: float
    histogram: list[int]


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long something took: counts by bucket of `histogram`, and `age` as for `Totals`."""

    counts: list[int]
    age: float | None = None


def counted(
    migration: AnyMigration,
    what: What,
    *,
    within: timedelta | None = None,
    step: int | None = None,
    since_step: int | None = None,
) -> Totals:
    """How often this happened.

    Args:
        within: so long ago at most; by default ever.
        step: at this step of the migration alone.
        since_step: at this step or a later one.
    """
    first, last = _ANY_STEP if step is None else (step, step)
    parameters: list[Any] = [migration.name, what.value, max(first, since_step or 0), last, within]
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, parameters)
        found = cursor.fetchall()
    ages = [age for *_, age in found]
    counts = {(side, outcome): count for side, outcome, count, _ in found}
    return Totals(counts, max(0.0, min(ages)) if ages else None)


def latencies(
    migration: AnyMigration, what: What, side: Side, *, within: timedelta, step: int, enough: int
) -> Latencies:
    """How long this took in that store, at this step: the newest `enough` at least, if there are so many."""
    parameters: list[Any] = [migration.name, what.value, side.value, step, within, enough]
    with connection.cursor() as cursor:
        cursor.execute(_LATENCIES, parameters)
        found = cursor.fetchall()
    counts = histogram.empty()
    for number, count, _ in found:
        counts[number] = count
    return Latencies(counts, max(0.0, min(age for *_, age in found)) if found else None)


def ever(migration: AnyMigration) -> list[Ever]:
    """Everything that was ever counted: a row for each combination of labels, none of which ever falls."""
    with connection.cursor() as cursor:
        cursor.execute(_EVER, [migration.name])
        return [Ever(*row) for row in cursor.fetchall()]
