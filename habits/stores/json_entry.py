"""What is known of a record without its text: place, row, board, and what is wrong with it as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from habits.board import BoardKey, encode_key
from habits.stores.json_reader import Record
from habits.stores.legacy_rows import fingerprint_of, key_of, owner_of, usable_id

FIRST_NAMELESS = -(2**63)
"""Position of a record without usable id: this plus its ordinal. All of them come before all ids, so that rows that are
added later come last, as in a table."""

Columns = tuple[int, int, int, int, str, str | None, str | None, str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One record in the index; `position` is its place in the store's order."""

    ordinal: int
    position: int
    start: int
    length: int
    digest: str
    key: str | None
    owner: str | None
    fingerprint: str
    fault: str | None
    message: str | None
    shared_id: int | None

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def row(self) -> str:
        return row_name(self.position)


def row_name(position: int) -> str:
    """How the row at this position is called: its id, or `#` and the number of its record where it has none."""
    return str(position) if position >= 0 else f"#{position - FIRST_NAMELESS}"


def position_of(row: str) -> int | None:
    """The position of the row of this name; None for what is no row's name."""
    digits = row.removeprefix("#")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 19:
        return None
    number = int(digits)
    return number if digits == row else FIRST_NAMELESS + number


def describe(record: Record) -> Columns:
    """What the index keeps of a record."""
    position, content = FIRST_NAMELESS + record.ordinal, record.fingerprint
    key: BoardKey | None = None
    owner: UUID | None = None
    fault, message = (record.fault.code, record.fault.message) if record.fault else (None, None)
    if isinstance(record.value, dict):
        known = {name: value for name, value in record.value.items() if name not in record.ambiguous}
        key, owner = key_of(known), owner_of(known.get("user_id"))
        if fault is None:
            content = fingerprint_of(known)
        number: Any = known.get("id")
        if usable_id(number):
            if number >= 0:
                position = number
            elif fault is None:
                fault, message = "duplicate_key", f"id is {number}; in a file an id is 0 or more."
    length = record.end - record.start
    return (
        record.ordinal,
        position,
        record.start,
        length,
        record.fingerprint,
        None if key is None else encode_key(key),
        None if owner is None else str(owner),
        content,
        fault,
        message,
    )
