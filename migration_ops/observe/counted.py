"""Selectors: what was counted lately, added up over processes, steps and minutes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from migration_ops.definition import AnyMigration, Side
from migration_ops.observe import histogram
from migration_ops.observe.measures import ReadOutcome

DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)
SLOT = timedelta(minutes=30)
"""One point of a chart."""

OK = ReadOutcome.OK.value
"""Outcome of what went as it should, where there is no more to say."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How often one thing happened.

    Attributes:
        name, side, outcome, sqlstate, cohort: as in `observe.metrics.Measured`.
        hour, day: how often in the last 60 minutes, and in the last 24 hours.
    """

    name: str
    side: str
    outcome: str
    sqlstate: str
    cohort: str
    hour: int
    day: int


_COUNTED = """
SELECT name, side, outcome, sqlstate, cohort,
       coalesce(sum(count) FILTER (WHERE minute > clock_timestamp() - make_interval(secs => %s)), 0)::bigint,
       sum(count)::bigint
  FROM migration_ops_metric
 WHERE migration = %s AND minute > clock_timestamp() - make_interval(secs => %s) AND name = ANY(%s)
 GROUP BY name, side, outcome, sqlstate, cohort
 ORDER BY name, side, outcome, sqlstate, cohort
"""


def counted(migration: AnyMigration, names: Sequence[str]) -> list[Counted]:
    """What happened under these names within the last 24 hours."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, [HOUR.total_seconds(), migration.name, DAY.total_seconds(), list(names)])
        return [Counted(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took.

    Attributes:
        n: how often it was measured.
        p95: seconds that 95 % stayed within, to the bucket's bound; None where nothing was measured.
    """

    n: int = 0
    p95: float | None = None


_DURATIONS = """
SELECT name, side, bucket::int, sum(many)::bigint
  FROM migration_ops_metric, unnest(histogram) WITH ORDINALITY AS measured (many, bucket)
 WHERE migration = %s AND minute > clock_timestamp() - make_interval(secs => %s) AND name = ANY(%s)
   AND outcome = %s AND many > 0
 GROUP BY name, side, bucket
"""


def durations(
    migration: AnyMigration, names: Sequence[str], within: timedelta = HOUR
) -> dict[str, dict[str, Durations]]:
    """How long what went well took lately, by name and side; sides without a measurement are absent."""
    found: dict[tuple[str, str], list[int]] = defaultdict(histogram.empty)
    with connection.cursor() as cursor:
        cursor.execute(_DURATIONS, [migration.name, within.total_seconds(), list(names), OK])
        for name, side, bucket, many in cursor.fetchall():
            found[name, side][bucket - 1] += many
    by_name: dict[str, dict[str, Durations]] = {name: {} for name in names}
    for (name, side), measured in found.items():
        by_name[name][side] = Durations(sum(measured), histogram.quantile(measured, 0.95))
    return by_name


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours in slots, the oldest first.

    Attributes:
        begins: of each slot.
        reads: how many each store answered, by side.
        writes: second writes that were attempted, and those of them that failed.
        p95: seconds, by side; None for a slot in which nothing was measured.
    """

    begins: tuple[datetime, ...]
    reads: dict[str, list[int]]
    writes: list[int]
    failed: list[int]
    p95: dict[str, list[float | None]]


_SLOTS = """
SELECT to_timestamp(floor(extract(epoch FROM clock_timestamp()) / %(slot)s) * %(slot)s - n * %(slot)s)
  FROM generate_series(%(slots)s - 1, 0, -1) AS n
"""

# A read that modern failed, or was spared, is counted there and was answered by legacy; one that failed, by nobody.
_DAY_COUNTS = f"""
SELECT to_timestamp(floor(extract(epoch FROM minute) / %(slot)s) * %(slot)s), name,
       CASE WHEN outcome IN ('{ReadOutcome.FALLBACK}', '{ReadOutcome.SPARED}') THEN '{Side.LEGACY}' ELSE side END,
       coalesce(sum(count) FILTER (WHERE outcome <> '{ReadOutcome.ERROR}'), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = ANY(%(attempted)s)), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = ANY(%(attempted)s) AND outcome <> %(succeeded)s), 0)::bigint
  FROM migration_ops_metric
 WHERE migration = %(migration)s AND minute >= %(since)s AND name IN ('read', 'write')
 GROUP BY 1, 2, 3
"""

_DAY_DURATIONS = """
SELECT to_timestamp(floor(extract(epoch FROM minute) / %(slot)s) * %(slot)s), side, bucket::int, sum(many)::bigint
  FROM migration_ops_metric, unnest(histogram) WITH ORDINALITY AS measured (many, bucket)
 WHERE migration = %(migration)s AND minute >= %(since)s AND name = %(name)s AND outcome = %(ok)s AND many > 0
 GROUP BY 1, 2, 3
"""


def day(migration: AnyMigration, *, attempted: Sequence[str], succeeded: str, timed: str, sides: Sequence[str]) -> Day:
    """The last 24 hours.

    Args:
        attempted: outcomes of `write` that count as an attempt at a second write.
        succeeded: the one among them that is a success.
        timed: the name whose durations are shown.
        sides: the stores.
    """
    said: dict[str, Any] = {
        "migration": migration.name,
        "slot": int(SLOT.total_seconds()),
        "slots": DAY // SLOT,
        "attempted": list(attempted),
        "succeeded": succeeded,
        "name": timed,
        "ok": OK,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SLOTS, said)
        begins = [begin for (begin,) in cursor.fetchall()]
        place = {begin: number for number, begin in enumerate(begins)}
        cursor.execute(_DAY_COUNTS, {**said, "since": begins[0]})
        counts = cursor.fetchall()
        cursor.execute(_DAY_DURATIONS, {**said, "since": begins[0]})
        measured = cursor.fetchall()
    reads = {side: [0] * len(begins) for side in sides}
    writes, failed = [0] * len(begins), [0] * len(begins)
    for begin, name, side, many, tried, wrong in counts:
        number = place.get(begin)
        if number is None:
            continue
        if name == "write":
            writes[number] += tried
            failed[number] += wrong
        elif side in reads:
            reads[side][number] += many
    return Day(tuple(begins), reads, writes, failed, _p95(measured, place, sides))


def _p95(
    measured: Sequence[tuple[datetime, str, int, int]], place: dict[datetime, int], sides: Sequence[str]
) -> dict[str, list[float | None]]:
    found: dict[tuple[str, int], list[int]] = defaultdict(histogram.empty)
    for begin, side, bucket, many in measured:
        if begin in place:
            found[side, place[begin]][bucket - 1] += many
    return {
        side: [histogram.quantile(found.get((side, number), ()), 0.95) for number in range(len(place))]
        for side in sides
    }
