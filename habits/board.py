"""The document of this migration: the week of one child, as a value, and the changes families make to it.

A `Board` compares by content; where it came from (legacy ids) does not count. Blank cells are `none` here, whatever the
store calls them, and blank texts are `""`. Every change is a pure function that returns a new board.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from uuid import UUID

Mark = Literal["green", "yellow", "red", "none"]

DAYS = 7
BLANK: Mark = "none"
COLOURS: frozenset[str] = frozenset({"green", "yellow", "red"})
BLANK_WEEK: tuple[Mark, ...] = (BLANK,) * DAYS
MAX_HABIT_NAME = 200
MAX_CHILD_NAME = 100
FIRST_MONDAY, LAST_MONDAY = date(2000, 1, 3), date(2100, 12, 27)
"""The weeks there can be."""

_MARKS: dict[str, Mark] = {"green": "green", "yellow": "yellow", "red": "red", "none": BLANK}

_CLOCK = r"[0-9]{1,2}(?::[0-5][0-9])?"
_HOUR = r"[0-9]{1,2}(?::[0-5][0-9]|\s*시(?:\s*반|\s*[0-9]{1,2}\s*분)?)"
_BAND = re.compile(
    rf"\s*((?:아침|오전|점심|오후|저녁|밤)\s*\(\s*(?:(?:{_HOUR}|{_CLOCK})\s*[-~–〜∼]\s*)?{_HOUR}(?:\s*(?:이후|이전|부터|까지))?\s*\))"
)


class BoardError(ValueError):
    """The board cannot be changed like that."""


class NoSuchPosition(BoardError):
    """The board has no habit at this position."""


class NoSuchDay(BoardError):
    """A week has the days 0 (Monday) to 6 (Sunday)."""


class UnknownMark(BoardError):
    """A mark is green, yellow, red or none."""


class InvalidHabitName(BoardError):
    """A habit's name has 1 to 200 characters, one of them visible."""


class InvalidText(BoardError):
    """Text has neither NUL nor half of a surrogate pair, for no database can store them."""


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

    @property
    def score(self) -> int:
        """How many cells are green."""
        return sum(habit.times.count("green") for habit in self.habits)

    @property
    def max_score(self) -> int:
        return DAYS * len(self.habits)

    @property
    def is_all_green(self) -> bool:
        """Whether every day of every habit is green, and there is a habit at all."""
        return bool(self.habits) and self.score == self.max_score


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_key(key: BoardKey) -> str:
    """The key as canonical text, `["<uuid>","<child>","YYYY-MM-DD"]`; one to one with `decode_key`."""
    return _encode([str(key.owner), key.child, key.week_start.isoformat()])


def unit_prefix(owner: str) -> str:
    """What the encoded keys of this owner begin with, and no others."""
    return f"[{_encode(owner)},"


def decode_key(text: str) -> BoardKey:
    """The key that `encode_key` wrote.

    Raises:
        ValueError: this is no key.
    """
    match json.loads(text):
        case [str(owner), str(child), str(week_start)]:
            return BoardKey(UUID(owner), child, date.fromisoformat(week_start))
        case _:
            raise ValueError(f"{text!r} is no key of a board.")


def monday_of(day: date) -> date:
    """The Monday on or before this day."""
    return day - timedelta(days=day.weekday())


def normal_child_name(name: str) -> str:
    """The name as it stands in a key: without outer white space, in Unicode normal form C."""
    return unicodedata.normalize("NFC", name.strip())


@lru_cache(maxsize=16_384)
def time_period_of(name: str) -> str:
    """The part of the day a habit's name begins with, e.g. `아침 (6-9시)`, or "".

    Only 아침, 오전, 점심, 오후, 저녁 or 밤 followed by hours in parentheses is a band; `피아노 연습(30분)` has none,
    for whatever else stands in parentheses belongs to the name. White space within the band becomes single spaces.
    """
    found = _BAND.match(unicodedata.normalize("NFC", name))
    return " ".join(found[1].split()) if found else ""


def storable(text: str) -> bool:
    """Whether PostgreSQL can hold this text: no NUL, no half of a surrogate pair."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def mark(board: Board, position: int, day: int, status: str) -> Board:
    """The board with one cell set; `none` clears it.

    Raises:
        NoSuchPosition, NoSuchDay, UnknownMark: the cell or the mark does not exist.
    """
    value = _mark(status)
    return _change_habit(board, position, lambda habit: _with_cell(habit, _day(day), value))


def clear(board: Board, position: int, day: int) -> Board:
    """The board with one cell blank.

    Raises:
        NoSuchPosition, NoSuchDay: the cell does not exist.
    """
    return mark(board, position, day, BLANK)


def fill_weekday(board: Board, day: int, status: str) -> Board:
    """The board with this day's cell of every habit set.

    Raises:
        NoSuchDay, UnknownMark: the day or the mark does not exist.
    """
    day, value = _day(day), _mark(status)
    return replace(board, habits=tuple(_with_cell(habit, day, value) for habit in board.habits))


def habit(name: str, times: Sequence[str]) -> Habit:
    """A new habit with these seven marks.

    Raises:
        InvalidHabitName, InvalidText, UnknownMark, NoSuchDay: it cannot be.
    """
    _check_name(name)
    if len(times) != DAYS:
        raise NoSuchDay(f"A habit has {DAYS} marks, one a day, not {len(times)}.")
    return Habit(name, tuple(_mark(status) for status in times), time_period_of(name))


def add_habit(board: Board, name: str) -> Board:
    """The board with a new, blank habit at its end.

    Raises:
        InvalidHabitName, InvalidText: the name cannot be stored.
    """
    _check_name(name)
    return replace(board, habits=(*board.habits, Habit(name, time_period=time_period_of(name))))


def rename_habit(board: Board, position: int, name: str) -> Board:
    """The board with a habit called differently; its marks stay.

    Raises:
        NoSuchPosition, InvalidHabitName, InvalidText: there is no such habit, or the name cannot be stored.
    """
    _check_name(name)
    return _change_habit(board, position, lambda habit: replace(habit, name=name, time_period=time_period_of(name)))


def move_habit(board: Board, position: int, to: int) -> Board:
    """The board with one habit at another position; the others close up and make room.

    Raises:
        NoSuchPosition: one of the positions does not exist.
    """
    habits = list(board.habits)
    habits.insert(_position(board, to), habits.pop(_position(board, position)))
    return replace(board, habits=tuple(habits))


def remove_habit(board: Board, position: int) -> Board:
    """The board without one habit and its marks.

    Raises:
        NoSuchPosition: there is no such habit.
    """
    position = _position(board, position)
    return replace(board, habits=board.habits[:position] + board.habits[position + 1 :])


def set_theme(board: Board, theme: str) -> Board:
    """The board under another theme; "" for none.

    Raises:
        InvalidText: the text cannot be stored.
    """
    return replace(board, theme=_text(theme))


def set_reward(board: Board, reward: str) -> Board:
    """The board with another reward; "" for none.

    Raises:
        InvalidText: the text cannot be stored.
    """
    return replace(board, reward=_text(reward))


def set_reflection(board: Board, reflection: Reflection) -> Board:
    """The board with other answers.

    Raises:
        InvalidText: an answer cannot be stored.
    """
    for answer in (reflection.best_day, reflection.easiest_habit, reflection.next_week_goal):
        _text(answer)
    return replace(board, reflection=reflection)


def _change_habit(board: Board, position: int, change: Callable[[Habit], Habit]) -> Board:
    position = _position(board, position)
    habits = list(board.habits)
    habits[position] = change(habits[position])
    return replace(board, habits=tuple(habits))


def _with_cell(habit: Habit, day: int, value: Mark) -> Habit:
    return replace(habit, times=(*habit.times[:day], value, *habit.times[day + 1 :]))


def _position(board: Board, position: int) -> int:
    if not 0 <= position < len(board.habits):
        raise NoSuchPosition(f"There is no habit at position {position}; the board has {len(board.habits)}.")
    return position


def _day(day: int) -> int:
    if not 0 <= day < DAYS:
        raise NoSuchDay(f"There is no day {day}; a week has the days 0 (Monday) to 6 (Sunday).")
    return day


def _mark(status: str) -> Mark:
    try:
        return _MARKS[status]
    except (KeyError, TypeError):
        raise UnknownMark(f"{status!r} is no mark; a mark is green, yellow, red or none.") from None


def _check_name(name: str) -> None:
    if not name.strip():
        raise InvalidHabitName("A habit needs a name.")
    if len(name) > MAX_HABIT_NAME:
        raise InvalidHabitName(f"The habit's name has {len(name)} characters; at most {MAX_HABIT_NAME} are possible.")
    _text(name)


def _text(text: str) -> str:
    if not storable(text):
        raise InvalidText("The text contains NUL or half of a surrogate pair, which no database can store.")
    return text
