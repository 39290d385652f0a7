"""The one place that understands the shape of a legacy row: a row becomes a board, or a rejection with its code.

Pure: no database, no clock. A row is a mapping with the columns of `habit_tracker` as keys, whether it comes from the
table or from a file: `habits` and `reflection` decoded, dates and UUIDs as text. `legacy_boards` makes one board of the
rows that share a key; `legacy_changes` is the way back.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from uuid import UUID

from habits.board import (
    BLANK,
    BLANK_WEEK,
    DAYS,
    FIRST_MONDAY,
    LAST_MONDAY,
    MAX_CHILD_NAME,
    MAX_HABIT_NAME,
    Board,
    BoardKey,
    Habit,
    Mark,
    Reflection,
    monday_of,
    normal_child_name,
    storable,
    time_period_of,
)
from habits.stores.exact_json import decode_strict, deeper_than
from migration_ops.definition import Rejection

Record = Mapping[str, Any]
"""A legacy row as it stands in its store; keys beyond the columns are kept."""

COLUMNS = (
    "id",
    "child_name",
    "week_period",
    "theme",
    "habits",
    "reflection",
    "reward",
    "created_at",
    "updated_at",
    "week_start_date",
    "user_id",
)
CONTENT = ("id", "child_name", "week_period", "theme", "habits", "reflection", "reward", "week_start_date", "user_id")
"""The columns that decide what a row means; a bulk update that only touches `updated_at` changes none of them."""

MIN_ID, MAX_ID = -(2**63), 2**63 - 1
MAX_RECORD_BYTES = 1024 * 1024
MAX_DEPTH = 32
"""Levels of arrays and objects in a record, the record itself being the first."""

_CACHED_LENGTH = 400
"""Longer texts are not remembered, so that the caches stay small whatever the data."""

MARKS: dict[object, Mark] = {
    None: BLANK,
    "": BLANK,
    "none": BLANK,
    "green": "green",
    "yellow": "yellow",
    "red": "red",
}
ANSWERS = ("bestDay", "easiestHabit", "nextWeekGoal")
"""Keys of `reflection`, in the order of the fields of `Reflection`."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")
_KOREAN_DATE = re.compile(r"(?:([0-9]{4})\s*년\s*)?([0-9]{1,2})\s*월\s*([0-9]{1,2})\s*일")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_REFLECTION = Reflection()
_REMEMBERED_WEEKS = 65_536
_weeks: dict[tuple[Any, ...], tuple[Mark, ...]] = {}
"""Marks by what a row says: there are few ways to fill seven cells, and boards that share them need less memory."""
_COLUMNS = frozenset(COLUMNS)
_ANSWERS = frozenset(ANSWERS)


class Unrepresentable(Exception):
    """The row says something that no board can say."""


@dataclass(slots=True)
class ParsedRow:
    """A row that can be represented.

    Attributes:
        id: the row's.
        board: what the row alone says.
        record: the row as it was read.
        entries: the element of `habits` behind each of the board's habits.
        fingerprint: of the row's content.
    """

    id: int
    board: Board
    record: Record
    entries: list[dict[str, Any]] = field(default_factory=list)
    fingerprint: str = ""

    @property
    def key(self) -> BoardKey:
        return self.board.key

    @property
    def row(self) -> str:
        return str(self.id)


def read_row(record: Record, owners: Container[UUID], *, fingerprint: str) -> ParsedRow:
    """The row as a board; quick, and silent about the reason if it cannot be one.

    Args:
        record: the row.
        owners: the users there are.
        fingerprint: of the row's content.

    Raises:
        Unrepresentable: `legacy_verdict.parse` says why.
    """
    owner = owner_of(record.get("user_id"))
    child = child_of(record.get("child_name"))
    monday = monday_of_row(record)
    number: Any = record.get("id")
    if owner is None or owner not in owners or child is None or monday is None or not usable_id(number):
        raise Unrepresentable
    theme = record.get("theme")
    reward = record.get("reward")
    if theme is None:
        theme = ""
    if reward is None:
        reward = ""
    if theme.__class__ is not str or reward.__class__ is not str:
        raise Unrepresentable
    entries = habit_entries(record.get("habits"))
    answers = reflection_object(record.get("reflection"))
    reflection = read_answers(answers)
    familiar = record.keys() <= _COLUMNS and answers.keys() <= _ANSWERS
    texts = [theme, reward, reflection.best_day, reflection.easiest_habit, reflection.next_week_goal]
    habits = []
    for entry in entries:
        name = entry.get("name")
        if name.__class__ is not str or len(name) > MAX_HABIT_NAME or not name.strip():
            raise Unrepresentable
        texts.append(name)
        legacy_id = entry.get("id")
        if legacy_id.__class__ is not int:
            legacy_id, familiar = None, False
        if len(entry) != 3 or "times" not in entry:
            familiar = False
        habits.append(Habit(name, read_times(entry.get("times")), time_period_of(name), legacy_id))
    if not storable("".join(texts)) or (not familiar and too_deep(record)):
        raise Unrepresentable
    board = Board(BoardKey(owner, child, monday), theme, reward, reflection, tuple(habits))
    return ParsedRow(number, board, record, entries, fingerprint)


def read_times(times: Any) -> tuple[Mark, ...]:
    """Seven marks, Monday first: missing and short ones filled with blanks, longer ones cut where only blanks are cut.

    Raises:
        Unrepresentable: no array, an unknown status, or marks beyond Sunday.
    """
    if times is None:
        return BLANK_WEEK
    if times.__class__ is not list:
        raise Unrepresentable
    try:
        said = tuple(times)
        marks = _weeks.get(said)
        if marks is None:
            marks = tuple([MARKS[status] for status in said])
    except (KeyError, TypeError):
        raise Unrepresentable from None
    if len(marks) != DAYS:
        if any(mark != BLANK for mark in marks[DAYS:]):
            raise Unrepresentable
        return marks[:DAYS] + BLANK_WEEK[len(marks) :]
    if len(_weeks) < _REMEMBERED_WEEKS:
        _weeks[said] = marks
    return marks


def habit_entries(habits: Any) -> list[dict[str, Any]]:
    """The elements of `habits`, an array or the JSON text of one; blank means none.

    Raises:
        Unrepresentable: no array, or an element that is no object.
        UnreadableJson: the text is no JSON that a row may hold.
    """
    if habits is None or habits == "":
        return []
    entries = decode_strict(habits) if isinstance(habits, str) else habits
    if entries.__class__ is not list:
        raise Unrepresentable
    for entry in entries:
        if entry.__class__ is not dict:
            raise Unrepresentable
    return entries


def read_answers(answers: Mapping[str, Any]) -> Reflection:
    """What the child says; null and missing mean nothing.

    Raises:
        Unrepresentable: an answer is no text.
    """
    if not answers:
        return _NO_REFLECTION
    for name in ANSWERS:
        answer = answers.get(name)
        if answer is not None and answer.__class__ is not str:
            raise Unrepresentable
    best_day = answers.get("bestDay") or ""
    easiest_habit = answers.get("easiestHabit") or ""
    next_week_goal = answers.get("nextWeekGoal") or ""
    if not (best_day or easiest_habit or next_week_goal):
        return _NO_REFLECTION
    return Reflection(best_day, easiest_habit, next_week_goal)


def reflection_object(reflection: Any) -> dict[str, Any]:
    """`reflection` as an object, whether it is stored as one, as JSON text, or blank.

    Raises:
        Unrepresentable: no object.
        UnreadableJson: the text is no JSON that a row may hold.
    """
    if reflection is None or reflection == "":
        return {}
    value = decode_strict(reflection) if isinstance(reflection, str) else reflection
    if value.__class__ is not dict:
        raise Unrepresentable
    return value


def too_deep(record: Record) -> bool:
    """Whether the record is nested in more than `MAX_DEPTH` levels, in its columns or in JSON text within them."""
    within = MAX_DEPTH - 1
    return (
        deeper_than(dict(record), MAX_DEPTH)
        or (isinstance(record.get("habits"), str) and deeper_than(habit_entries(record["habits"]), within))
        or (isinstance(record.get("reflection"), str) and deeper_than(reflection_object(record["reflection"]), within))
    )


def key_of(record: Record) -> BoardKey | None:
    """The board this row belongs to, whatever its content; None where that cannot be read."""
    owner = owner_of(record.get("user_id"))
    child = child_of(record.get("child_name"))
    monday = monday_of_row(record)
    return None if owner is None or child is None or monday is None else BoardKey(owner, child, monday)


def usable_id(number: Any) -> bool:
    """Whether this is the id of a row: a whole number that fits into a bigint."""
    return number.__class__ is int and MIN_ID <= number <= MAX_ID


def owner_of(value: object) -> UUID | None:
    """The owner a `user_id` names; None where it names nobody."""
    if isinstance(value, str):
        return _owner_of_text(value) if len(value) <= _CACHED_LENGTH else None
    return value if isinstance(value, UUID) else None


def owner_in(text: str) -> UUID | None:
    """As `owner_of`, for texts of which each comes once: nothing is remembered."""
    text = text.strip()
    return UUID(text) if _UUID.fullmatch(text) else None


_owner_of_text = lru_cache(maxsize=65_536)(owner_in)


def child_of(value: object) -> str | None:
    """The child's name as it stands in a key; None where it cannot stand in one."""
    if not isinstance(value, str):
        return None
    return _child_of_text(value) if len(value) <= _CACHED_LENGTH else _child_of_text.__wrapped__(value)


@lru_cache(maxsize=65_536)
def _child_of_text(text: str) -> str | None:
    name = normal_child_name(text)
    return name if 1 <= len(name) <= MAX_CHILD_NAME and storable(name) else None


def monday_of_row(record: Record) -> date | None:
    """The Monday of the row's week, from its date or, where it has none, from its `week_period`; None if unreadable."""
    day = record.get("week_start_date")
    if day is None or day == "":
        period = record.get("week_period")
        return _monday_of_period(period[:_CACHED_LENGTH]) if isinstance(period, str) else None
    if isinstance(day, str):
        return _monday_of_text(day) if len(day) <= _CACHED_LENGTH else None
    return _in_range(day) if isinstance(day, date) and not isinstance(day, datetime) else None


@lru_cache(maxsize=16_384)
def _monday_of_text(text: str) -> date | None:
    if not _ISO_DATE.fullmatch(text):
        return None
    try:
        return _in_range(date.fromisoformat(text))
    except ValueError:
        return None


@lru_cache(maxsize=16_384)
def _monday_of_period(text: str) -> date | None:
    found = _KOREAN_DATE.search(unicodedata.normalize("NFC", text))
    if found is None or found[1] is None:
        return None
    try:
        return _in_range(date(int(found[1]), int(found[2]), int(found[3])))
    except ValueError:
        return None


def _in_range(day: date) -> date | None:
    if day.year < FIRST_MONDAY.year:
        return None
    monday = monday_of(day)
    return monday if FIRST_MONDAY <= monday <= LAST_MONDAY else None


def fingerprint_of(record: Record) -> str:
    """Of the row's content: equal for equal content, whatever the order of keys; time stamps do not count."""
    content = [record.get(column) for column in CONTENT]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def rejected(
    record: Record, code: str, message: str, *, place: str = "", fingerprint: str, raw: str | None = None
) -> Rejection[BoardKey]:
    """This row as a rejection, with the key of its board where that can be read.

    Args:
        record: the row, or as much of it as could be read.
        code: one of `legacy_verdict.CODES`.
        message: a sentence that names what is wrong.
        place: stands for the row's id where it has none that is usable, e.g. `line 17`.
        fingerprint: of the row's content.
        raw: the row as it was, where `record` does not say it.
    """
    number = record.get("id")
    row = str(number) if usable_id(number) else place
    return Rejection(row, code, message, key_of(record), raw_text(record) if raw is None else raw, fingerprint)


def raw_text(record: Record, limit: int = 65_536) -> str:
    """The row as JSON text for the person who decides, cut at `limit` characters."""
    text = json.dumps(dict(record), ensure_ascii=False, default=str)
    if not storable(text):
        text = json.dumps(dict(record), default=str)
    return text if len(text) <= limit else f"{text[:limit]}…"
