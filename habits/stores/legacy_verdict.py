"""Why a legacy row cannot be represented: the reasons as data, in the order in which they win."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any
from uuid import UUID

from habits.board import BLANK, DAYS, MAX_CHILD_NAME, MAX_HABIT_NAME, BoardKey, normal_child_name, storable
from habits.stores.exact_json import UnreadableJson, short
from habits.stores.legacy_rows import (
    ANSWERS,
    MARKS,
    MAX_DEPTH,
    MAX_RECORD_BYTES,
    ParsedRow,
    Record,
    Unrepresentable,
    fingerprint_of,
    habit_entries,
    monday_of_row,
    owner_of,
    read_row,
    reflection_object,
    rejected,
    too_deep,
    usable_id,
)
from migration_ops.definition import Rejection


def parse(
    record: Record,
    owners: Container[UUID],
    *,
    place: str = "",
    size: int = 0,
    fingerprint: str | None = None,
) -> ParsedRow | Rejection[BoardKey]:
    """The row as a board, or the first reason why it cannot be one.

    Args:
        record: the row.
        owners: the users there are.
        place: stands for the row's id where it has none that is usable, e.g. `line 17`.
        size: bytes of the record in its store, where that is known.
        fingerprint: of the row's content, where the store has a cheaper one than `fingerprint_of`.
    """
    if fingerprint is None:
        fingerprint = fingerprint_of(record)
    if size <= MAX_RECORD_BYTES:
        try:
            return read_row(record, owners, fingerprint=fingerprint)
        except (Unrepresentable, UnreadableJson):
            code, message = first_reason(record, owners)
    else:
        code, message = "record_too_large", too_large(size)
    return rejected(record, code, message, place=place, fingerprint=fingerprint)


def too_large(size: int) -> str:
    """The message of `record_too_large` for a record of this many bytes."""
    return f"The record has {size:,} bytes; at most {MAX_RECORD_BYTES:,} can be taken."


def first_reason(record: Record, owners: Container[UUID]) -> tuple[str, str]:
    """Code and message of the first check that this row does not pass."""
    for code, check in CHECKS:
        message = check(record, owners)
        if message:
            return code, message
    raise AssertionError(f"Row {short(record.get('id'))} was refused, but no check says why.")


def _too_deep(record: Record, owners: Container[UUID]) -> str:
    for column in ("habits", "reflection"):
        if message := _unreadable(record, column, "record_too_large"):
            return message
    try:
        deep = too_deep(record)
    except (Unrepresentable, UnreadableJson):
        return ""
    return f"The record is nested in more than {MAX_DEPTH} levels." if deep else ""


def _ambiguous(record: Record, owners: Container[UUID]) -> str:
    if not usable_id(record.get("id")):
        return f"id is {short(record.get('id'))}, which identifies no row; a whole number is needed."
    return _unreadable(record, "habits", "duplicate_key") or _unreadable(record, "reflection", "duplicate_key")


def _unreadable(record: Record, column: str, code: str) -> str:
    """What is wrong with JSON text in this column, if it amounts to this code."""
    try:
        habit_entries(record.get(column)) if column == "habits" else reflection_object(record.get(column))
    except UnreadableJson as error:
        return f"{column}: {error}" if error.code == code else ""
    except Unrepresentable:
        return ""
    return ""


def _text(record: Record, owners: Container[UUID]) -> str:
    for column in ("theme", "reward"):
        value = record.get(column)
        if value is not None and not isinstance(value, str):
            return f"{column} is {short(value)}, not text."
    texts = [(column, record.get(column)) for column in ("child_name", "theme", "reward")]
    texts += [(f"habits[{index}].name", entry.get("name")) for index, entry in enumerate(_entries(record))]
    texts += [(f"reflection.{name}", _answers(record).get(name)) for name in ANSWERS]
    for path, text in texts:
        if isinstance(text, str) and not storable(text):
            return f"{path} contains NUL or half of a surrogate pair: {short(text)}."
    return ""


def _owner_missing(record: Record, owners: Container[UUID]) -> str:
    value = record.get("user_id")
    blank = value is None or (isinstance(value, str) and not value.strip())
    return "The row has no owner." if blank else ""


def _owner_unknown(record: Record, owners: Container[UUID]) -> str:
    owner = owner_of(record.get("user_id"))
    if owner is None:
        return f"user_id is {short(record.get('user_id'))}, which is no UUID."
    return "" if owner in owners else f"There is no user {owner}."


def _child_name(record: Record, owners: Container[UUID]) -> str:
    name = record.get("child_name")
    if not isinstance(name, str):
        return f"child_name is {short(name)}, not text."
    length = len(normal_child_name(name))
    if 1 <= length <= MAX_CHILD_NAME:
        return ""
    return f"child_name has {length} characters without outer white space; 1 to {MAX_CHILD_NAME} are possible."


def _week(record: Record, owners: Container[UUID]) -> str:
    if monday_of_row(record) is not None:
        return ""
    day = record.get("week_start_date")
    if day is None or day == "":
        return f"There is no week_start_date, and week_period is {short(record.get('week_period'))}."
    return f"week_start_date is {short(str(day))}; a date between 2000 and 2100 is needed."


def _habits(record: Record, owners: Container[UUID]) -> str:
    habits = record.get("habits")
    try:
        habit_entries(habits)
    except UnreadableJson as error:
        return f"habits is text that cannot be read: {error}"
    except Unrepresentable:
        return f"habits is {short(habits)}, not an array of objects."
    return ""


def _habit_name(record: Record, owners: Container[UUID]) -> str:
    for index, entry in enumerate(_entries(record)):
        name = entry.get("name")
        if not isinstance(name, str):
            return f"habits[{index}].name is {short(name)}, not text."
        if not name.strip():
            return f"habits[{index}].name is blank."
        if len(name) > MAX_HABIT_NAME:
            return f"habits[{index}].name has {len(name)} characters; at most {MAX_HABIT_NAME} are possible."
    return ""


def _times(record: Record, owners: Container[UUID]) -> str:
    for index, entry in enumerate(_entries(record)):
        times = entry.get("times")
        if times is not None and not isinstance(times, list):
            return f"habits[{index}].times is {short(times)}, not an array."
    return ""


def _times_length(record: Record, owners: Container[UUID]) -> str:
    for index, entry in enumerate(_entries(record)):
        for day, status in enumerate(entry.get("times") or []):
            if day >= DAYS and not _blank(status):
                return f"habits[{index}].times[{day}] is {short(status)}; a week has {DAYS} days."
    return ""


def _status(record: Record, owners: Container[UUID]) -> str:
    for index, entry in enumerate(_entries(record)):
        for day, status in enumerate((entry.get("times") or [])[:DAYS]):
            if not (status is None or isinstance(status, str)) or status not in MARKS:
                return (
                    f"habits[{index}].times[{day}] is {short(status)}; green, yellow, red, none or nothing is possible."
                )
    return ""


def _reflection(record: Record, owners: Container[UUID]) -> str:
    try:
        answers = reflection_object(record.get("reflection"))
    except UnreadableJson as error:
        return f"reflection is text that cannot be read: {error}"
    except Unrepresentable:
        return f"reflection is {short(record.get('reflection'))}, not an object."
    for name in ANSWERS:
        answer = answers.get(name)
        if answer is not None and not isinstance(answer, str):
            return f"reflection.{name} is {short(answer)}, not text."
    return ""


def _blank(status: object) -> bool:
    return status is None or (isinstance(status, str) and MARKS.get(status) == BLANK)


def _entries(record: Record) -> list[dict[str, Any]]:
    """The habits as far as they can be read; what cannot is the business of another check."""
    try:
        return habit_entries(record.get("habits"))
    except (Unrepresentable, UnreadableJson):
        return []


def _answers(record: Record) -> dict[str, Any]:
    try:
        return reflection_object(record.get("reflection"))
    except (Unrepresentable, UnreadableJson):
        return {}


Check = Callable[[Record, Container[UUID]], str]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("record_too_large", _too_deep),
    ("duplicate_key", _ambiguous),
    ("text_invalid", _text),
    ("owner_missing", _owner_missing),
    ("owner_unknown", _owner_unknown),
    ("child_name_invalid", _child_name),
    ("week_unreadable", _week),
    ("habits_malformed", _habits),
    ("habit_name_invalid", _habit_name),
    ("times_malformed", _times),
    ("times_too_long", _times_length),
    ("status_unknown", _status),
    ("reflection_malformed", _reflection),
)
"""Each check gives a message, or "" for a row that passes it. The first that does not pass decides."""

CODES: tuple[str, ...] = tuple(code for code, _ in CHECKS)
