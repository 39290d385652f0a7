"""How often each colour was given, by week and by weekday."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from habits.board import BLANK, DAYS, Board, Mark
from habits.family.reading import weeks
from migration_ops.rollout.routing import Decision


@dataclass(frozen=True, slots=True)
class DayCount:
    """How often each colour was given on one weekday, 0 for Monday; `none` counts the blank cells."""

    day: int
    green: int
    yellow: int
    red: int
    none: int


@dataclass(frozen=True, slots=True)
class WeekStats:
    week_start: date
    score: int
    max_score: int
    days: tuple[DayCount, ...]


@dataclass(frozen=True, slots=True)
class Stats:
    """The last weeks of a child, the earliest first, and all of them by weekday."""

    child: str
    weeks: tuple[WeekStats, ...]
    weekdays: tuple[DayCount, ...]
    served: Decision


def stats(owner: UUID, child: str, last: int) -> Stats:
    """Counts over the last so many weeks that the child has.

    Raises:
        NoSuchBoard: the family has no such child.
    """
    found = weeks(owner, child)
    shown = found.boards[-last:]
    return Stats(
        child=shown[0].key.child,
        weeks=tuple(WeekStats(b.key.week_start, b.score, b.max_score, _by_day([b])) for b in shown),
        weekdays=_by_day(shown),
        served=found.served,
    )


def _by_day(boards: Iterable[Board]) -> tuple[DayCount, ...]:
    counts: list[Counter[Mark | None]] = [Counter() for _ in range(DAYS)]
    for each in boards:
        for line in each.habits:
            for day, status in enumerate(line.times):
                counts[day][status] += 1
    return tuple(
        DayCount(day, seen["green"], seen["yellow"], seen["red"], seen[BLANK] + seen[None])
        for day, seen in enumerate(counts)
    )
