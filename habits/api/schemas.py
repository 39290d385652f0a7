"""The shapes of what is sent and answered. Input is strict: no unknown fields, and no type is taken for another."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from habits.board import MAX_CHILD_NAME, MAX_HABIT_NAME
from habits.family import MOST_CHARACTERS, MOST_HABITS
from habits.templates import LONGEST_NAME

Status = Literal["green", "yellow", "red", "none"]
Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Position = Annotated[int, Field(ge=0, lt=MOST_HABITS)]
Day = Annotated[int, Field(ge=0, le=6, description="0 is Monday")]
Week = Annotated[list[Status], Field(min_length=7, max_length=7, description="Monday first")]
Id = Annotated[UUID, Field(strict=False)]
HabitName = Annotated[str, Field(min_length=1, max_length=MAX_HABIT_NAME)]
TemplateName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
ChildOfTemplate = Annotated[
    str | None, Field(min_length=1, max_length=MAX_CHILD_NAME, description="null: shared by the family")
]
Count = Annotated[int, Field(ge=0)]


class Input(Schema):
    """Something a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ReflectionIn(Input):
    bestDay: Text = ""  # noqa: N815 - the name it has in the stores
    easiestHabit: Text = ""  # noqa: N815 - the name it has in the stores
    nextWeekGoal: Text = ""  # noqa: N815 - the name it has in the stores


class HabitIn(Input):
    name: HabitName
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


class TemplateHabitIn(Input):
    name: HabitName


TemplateHabits = Annotated[list[TemplateHabitIn], Field(min_length=1, max_length=MOST_HABITS)]


class TemplateIn(Input):
    """Habits to begin a week with, for one child or shared by the family."""

    name: TemplateName
    description: Text = ""
    habits: TemplateHabits
    child: ChildOfTemplate = None
    is_default: bool = False


class TemplateChangeIn(Input):
    """What is left out stays as it is."""

    name: TemplateName = ""
    description: Text = ""
    habits: TemplateHabits = []
    child: ChildOfTemplate = None
    is_default: bool = False


class ApplyTemplateIn(Input):
    """`replace` takes the template's habits in its order; `append` adds those that are missing. Habits of one name are
    the same, and keep their marks."""

    template_id: Id
    mode: Literal["replace", "append"] = "replace"
    overwrite: Annotated[
        bool, Field(description="needed to replace the habits of a week that has some; otherwise 409 `would_overwrite`")
    ] = False


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


class TemplateHabitOut(Schema):
    name: str


class TemplateOut(Schema):
    id: UUID
    name: str
    description: str
    habits: list[TemplateHabitOut]
    child: str | None
    is_default: bool


class NotificationOut(Schema):
    id: UUID
    type: Literal["mention", "achievement", "weekly_report", "chat"]
    title: str
    message: str
    link_url: str
    metadata: dict[str, Any]
    is_read: bool
    created_at: datetime


class NotificationsOut(Schema):
    """The newest first; `next` is `before` of the next page, null on the last one."""

    items: list[NotificationOut]
    unread: Count
    next: UUID | None


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
