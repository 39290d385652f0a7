"""The document of this migration: the week of one child, as a value.

A `Board` compares by content; where it came from (legacy ids) does not count. Blank cells are `none` here, whatever the
store calls them, and blank texts are `""`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

Mark = Literal["green", "yellow", "red", "none"]

DAYS = 7
BLANK: Mark = "none"
COLOURS: frozenset[str] = frozenset({"green", "yellow", "red"})
BLANK_WEEK: tuple[Mark, ...] = (BLANK,) * DAYS


class BoardKey(NamedTuple):
    """Whose week: owner, child name (outer white space removed, NFC), Monday."""

    owner: UUID
    child: str
    week_start: date


@dataclass(frozen=True, slots=True)
class Habit:
    """One line of a board; its identity is its position.

    Attributes:
        name: as the family wrote it, duplicates and white space included.
        times: seven marks, Monday first. None only in a board read from a modern store that lacks that day's record.
        time_period: the leading band of the name, or "".
        legacy_id: what the legacy row calls it, kept so that it can be written back.
    """

    name: str
    times: tuple[Mark | None, ...] = BLANK_WEEK
    time_period: str = ""
    legacy_id: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Reflection:
    """What the child says of the week."""

    best_day: str = ""
    easiest_habit: str = ""
    next_week_goal: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """The week of one child.

    Attributes:
        anomalies: what the store holds that no board can say, e.g. a mark outside the week; always empty in legacy, so
            that such a thing is a difference and not overlooked.
    """

    key: BoardKey
    theme: str = ""
    reward: str = ""
    reflection: Reflection = Reflection()
    habits: tuple[Habit, ...] = ()
    anomalies: tuple[str, ...] = ()

    @property
    def week_end(self) -> date:
        return self.key.week_start + timedelta(days=DAYS - 1)
