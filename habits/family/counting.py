"""How often each colour was given, by week and by weekday."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from habits.board import BLANK, DAYS
from habits.family.reading import week_list
from habits.summary import WeekSummary
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
    found = week_list(owner, child, last=last)
    counted = tuple(WeekStats(week.key.week_start, week.score, week.max_score, _days(week)) for week in found.weeks)
    return Stats(found.weeks[0].key.child, counted, _sums(week.days for week in counted), found.served)


def _days(week: WeekSummary) -> tuple[DayCount, ...]:
    columns = zip(*week.marks, strict=True) if week.marks else ((),) * DAYS
    return tuple(
        DayCount(
            day, marks.count("green"), marks.count("yellow"), marks.count("red"), marks.count(BLANK) + marks.count(None)
        )
        for day, marks in enumerate(columns)
    )


def _sums(weeks: Iterable[tuple[DayCount, ...]]) -> tuple[DayCount, ...]:
    return tuple(
        DayCount(
            day,
            sum(count.green for count in counts),
            sum(count.yellow for count in counts),
            sum(count.red for count in counts),
            sum(count.none for count in counts),
        )
        for day, counts in enumerate(zip(*weeks, strict=True))
    )
