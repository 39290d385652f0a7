"""Counts in memory what happens, and adds it to the database every few seconds.

Counting costs a user microseconds and no query. A process that is killed takes what it counted in the last few seconds
with it: these are rates, not books; what must not be lost is on the dirty list.

Each count is kept twice: by the minute until `metrics_retention` is over, and in a total that only ever grows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import Error, connection

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import first_line
from migration_ops.observe import histogram

logger = logging.getLogger(__name__)

_ADDED_UP = """
DO UPDATE
   SET count = known.count + excluded.count, seconds = known.seconds + excluded.seconds,
       histogram = ARRAY(SELECT coalesce(one, 0) + coalesce(other, 0)
                           FROM unnest(known.histogram, excluded.histogram) AS both_of (one, other))
"""

# The minute, which will be thrown away one day, and the total, which never is; in one statement: no failure comes
# between them, and all processes lock the two in the same order.
_ADD = f"""
WITH minute AS (
    INSERT INTO migration_ops_metric AS known
           (migration, minute, name, side, outcome, sqlstate, cohort, step, count, seconds, histogram)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (migration, minute, name, side, outcome, sqlstate, cohort, step) {_ADDED_UP}
)
INSERT INTO migration_ops_metrictotal AS known
       (migration, name, side, outcome, sqlstate, cohort, count, seconds, histogram)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (migration, name, side, outcome, sqlstate, cohort) {_ADDED_UP}
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is counted together.

    Attributes:
        name: what was done, e.g. `write`.
        side: the store it was done in first.
        outcome: how it went.
        sqlstate: of what went wrong, or the name of an error that has none.
        cohort: why it was done there, as `rollout.routing.Reason` has it.
        step: of the migration, `State.step`: what was counted at another one is no evidence about this one.
    """

    name: str
    side: str = ""
    outcome: str = ""
    sqlstate: str = ""
    cohort: str = ""
    step: int = 0


@dataclass(slots=True)
class _Count:
    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=histogram.empty)


class _Counter:
    """What this process has counted since it last told the database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, datetime, Measured], _Count] = {}

    def add(self, migration: str, measured: Measured, seconds: float) -> None:
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        with self._lock:
            counted = self._counts.setdefault((migration, minute, measured), _Count())
            counted.count += 1
            counted.seconds += seconds
            counted.buckets[histogram.place(seconds)] += 1

    def take(self) -> Mapping[tuple[str, datetime, Measured], _Count]:
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def give_back(self, counts: Mapping[tuple[str, datetime, Measured], _Count]) -> None:
        with self._lock:
            for key, counted in counts.items():
                mine = self._counts.setdefault(key, _Count())
                mine.count += counted.count
                mine.seconds += counted.seconds
                mine.buckets = histogram.merged([mine.buckets, counted.buckets])


_counter = _Counter()


def add(migration: AnyMigration, measured: Measured, *, seconds: float) -> None:
    """Count that something happened and took so long."""
    _counter.add(migration.name, measured, seconds)


def flush() -> bool:
    """Add what was counted to the database; whether it could be. What could not stays counted for the next time."""
    counts = dict(_counter.take())
    if not counts:
        return True
    try:
        with connection.cursor() as cursor:
            for key in sorted(counts, key=lambda key: (key[0], str(key[2]), key[1])):
                migration, minute, measured = key
                counted = counts[key]
                *labels, step = astuple(measured)
                added: list[Any] = [counted.count, counted.seconds, counted.buckets]
                cursor.execute(_ADD, [migration, minute, *labels, step, *added, migration, *labels, *added])
                del counts[key]
    except Error as error:
        logger.warning("What was counted could not be written, and is kept: %s", first_line(error))
        _counter.give_back(counts)
        return False
    return True


@contextmanager
def flushing() -> Iterator[None]:
    """Write every `metrics_flush` what this process counts, for as long as this block lasts and when it ends."""
    ended = threading.Event()
    flusher = threading.Thread(target=_flush_until, args=[ended], name="migration_ops.metrics")
    flusher.start()
    try:
        yield
    finally:
        ended.set()
        flusher.join()
        flush()


def _flush_until(ended: threading.Event) -> None:
    while not ended.wait(settings().metrics_flush.total_seconds()):
        flush()
        connection.close()  # this thread's own; it is needed again only in a few seconds
    connection.close()
