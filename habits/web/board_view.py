"""What the page of a weekly board shows, worked out before the template sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from urllib.parse import quote

from django.urls import reverse
from django.utils.dates import WEEKDAYS
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from habits import family
from habits.board import BLANK, DAYS, FIRST_MONDAY, LAST_MONDAY, Board, Habit, Reflection

NEXT = {"none": "green", "green": "yellow", "yellow": "red", "red": "none"}
"""What a tap makes of a mark."""

WORDS: dict[str, Promise | str] = {
    "green": _("green"),
    "yellow": _("yellow"),
    "red": _("red"),
    "none": _("blank"),
}
"""Marks as they are read out."""


LETTERS = (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))
"""Days as they stand above the circles."""


@dataclass(frozen=True, slots=True)
class CellView:
    """One circle.

    Attributes:
        place: which one it is, as it is read out before the mark.
        value: what the form sends when it is tapped.
    """

    day: int
    letters: str
    status: str
    place: str
    label: str
    value: str
    is_today: bool


@dataclass(frozen=True, slots=True)
class HabitView:
    position: int
    name: str
    cells: tuple[CellView, ...]
    is_first: bool
    is_last: bool


@dataclass(frozen=True, slots=True)
class WeekLink:
    monday: date
    url: str


@dataclass(frozen=True, slots=True)
class WeekFrame:
    """A week of a child, whether there is a board or not."""

    child: str
    monday: date
    sunday: date
    url: str
    previous: WeekLink | None
    next: WeekLink | None
    this_week: WeekLink | None


@dataclass(frozen=True, slots=True)
class BoardView:
    """A board.

    Attributes:
        shape: changes when a habit is renamed, moved, added or removed.
        seen: changes with everything.
        api: where single marks are sent.
    """

    frame: WeekFrame
    habits: tuple[HabitView, ...]
    theme: str
    reward: str
    reflection: Reflection
    score: int
    max_score: int
    shape: str
    seen: str
    api: str


def week_url(child: str, monday: date) -> str:
    return reverse("week", kwargs={"name": child, "day": monday})


def frame(child: str, monday: date, today: date) -> WeekFrame:
    """The week's place among the others; there is none before the first and after the last possible one."""
    this_week = today - timedelta(days=today.weekday())

    def link(other: date) -> WeekLink | None:
        return WeekLink(other, week_url(child, other)) if FIRST_MONDAY <= other <= LAST_MONDAY else None

    return WeekFrame(
        child=child,
        monday=monday,
        sunday=monday + timedelta(days=DAYS - 1),
        url=week_url(child, monday),
        previous=link(monday - timedelta(days=DAYS)),
        next=link(monday + timedelta(days=DAYS)),
        this_week=None if this_week == monday else link(this_week),
    )


def view(board: Board, today: date) -> BoardView:
    monday, last = board.key.week_start, len(board.habits) - 1
    return BoardView(
        frame=frame(board.key.child, monday, today),
        habits=tuple(
            HabitView(position, line.name, _cells(position, line, monday, today), position == 0, position == last)
            for position, line in enumerate(board.habits)
        ),
        theme=board.theme,
        reward=board.reward,
        reflection=board.reflection,
        score=board.score,
        max_score=board.max_score,
        shape=shape(board),
        seen=family.tag(board),
        api=f"/api/children/{quote(board.key.child, safe='')}/weeks/{monday.isoformat()}/marks",
    )


def shape(board: Board) -> str:
    """Of the habits' names in their order: what a position means to somebody who looks at the board."""
    return blake2b(repr([line.name for line in board.habits]).encode(errors="replace"), digest_size=8).hexdigest()


def _cells(position: int, line: Habit, monday: date, today: date) -> tuple[CellView, ...]:
    cells = []
    for day, found in enumerate(line.times):
        status = found or BLANK
        place = gettext("%(day)s, %(habit)s") % {"day": WEEKDAYS[day], "habit": line.name}
        cells.append(
            CellView(
                day=day,
                letters=str(LETTERS[day]),
                status=status,
                place=place,
                label=f"{place}: {WORDS[status]}",
                value=f"{position}-{day}-{NEXT[status]}",
                is_today=monday + timedelta(days=day) == today,
            )
        )
    return tuple(cells)
