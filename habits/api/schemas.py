"""The shapes of what is sent and answered. Input is strict: no unknown fields, and no type is taken for another."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from habits.board import MAX_HABIT_NAME
from habits.family import MOST_CHARACTERS, MOST_HABITS

Status = Literal["green", "yellow", "red", "none"]
Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Position = Annotated[int, Field(ge=0, lt=MOST_HABITS)]
Day = Annotated[int, Field(ge=0, le=6, description="0 is Monday")]
Week = Annotated[list[Status], Field(min_length=7, max_length=7, description="Monday first")]
Count = Annotated[int, Field(ge=0)]


class Input(Schema):
    """Something a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ReflectionIn(Input):
    bestDay: Text = ""  # noqa: N815 - the name it has in the stores
    easiestHabit: Text = ""  # noqa: N815 - the name it has in the stores
    nextWeekGoal: Text = ""  # noqa: N815 - the name it has in the stores


class HabitIn(Input):
    name: Annotated[str, Field(min_length=1, max_length=MAX_HABIT_NAME)]
    times: Week


class BoardIn(Input):
    """The whole week; what is left out is blank."""

    theme: Text = ""
    reward: Text = ""
    reflection: ReflectionIn = ReflectionIn()
    habits: Annotated[list[HabitIn], Field(max_length=MOST_HABITS)]


class MarkIn(Input):
    position: Position
    day: Day
    status: Status


class MarksIn(Input):
    """Cells to set, in this order; all others stay as they are."""

    marks: Annotated[list[MarkIn], Field(min_length=1, max_length=MOST_HABITS * 7)]


class ChildOut(Schema):
    name: str
    weeks: Count
    first_week: date
    last_week: date


class WeekOut(Schema):
    week_start: date
    theme: str
    score: Count
    max_score: Count


class ReflectionOut(Schema):
    bestDay: str  # noqa: N815 - the name it has in the stores
    easiestHabit: str  # noqa: N815 - the name it has in the stores
    nextWeekGoal: str  # noqa: N815 - the name it has in the stores


class HabitOut(Schema):
    position: Count
    name: str
    time_period: str
    times: Week


class BoardOut(Schema):
    child: str
    week_start: date
    week_end: date
    theme: str
    reward: str
    reflection: ReflectionOut
    habits: list[HabitOut]
    score: Count
    max_score: Count


class DayOut(Schema):
    day: Day
    green: Count
    yellow: Count
    red: Count
    none: Count
    score: Count


class WeekStatsOut(Schema):
    week_start: date
    score: Count
    max_score: Count
    days: list[DayOut]


class StatsOut(Schema):
    child: str
    weeks: list[WeekStatsOut]
    weekdays: list[DayOut]


class FindingOut(Schema):
    detail: str
    pointer: str = ""
    parameter: str = ""


class ProblemOut(Schema):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FindingOut] = []
