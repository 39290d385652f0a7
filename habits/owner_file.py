"""The CSV file that names owners: read line by line, each line usable or named in a sentence."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from uuid import UUID

from django.core.exceptions import ValidationError

from habits.models import User, UserManager
from habits.stores.legacy_rows import owner_in
from migration_ops.exceptions import UnusableInput

COLUMNS = ("id", "email")


@dataclass(frozen=True, slots=True)
class OwnerLine:
    """What one line says: `number` of the line where it begins, from 1."""

    number: int
    id: UUID
    email: str


def read_owners(path: Path) -> Iterator[OwnerLine]:
    """Every line but the heading and blank ones, in the order of the file, in constant memory.

    A heading names the columns `id` and `email`, in any order and among others; without one there are just these two.
    The same id or address twice is for the caller to see.

    Raises:
        UnusableInput: the file cannot be read, names nobody, or holds a line that cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _owners(file, path)
    except UnicodeDecodeError as error:
        raise UnusableInput(f"{path} is not UTF-8; save it as CSV in UTF-8.") from error
    except OSError as error:
        raise UnusableInput(f"{path} cannot be read: {error.strerror}.") from error


def _owners(file: TextIO, path: Path) -> Iterator[OwnerLine]:
    places: tuple[int, int] | None = None
    width = len(COLUMNS)
    named = False
    for number, row in _rows(file, path):
        if places is None:
            heading = [cell.strip().lower() for cell in row]
            places, width = (0, 1), len(COLUMNS)
            if set(COLUMNS) & set(heading):
                places, width = _places(heading, f"{path}, line {number}"), len(row)
                continue
        if len(row) != width:
            raise UnusableInput(
                f"{path}, line {number}: {len(row)} columns; {_wanted(width)} are needed, separated by commas."
            )
        named = True
        yield _owner(number, row[places[0]], row[places[1]], path)
    if not named:
        empty = "is empty" if places is None else "has a heading and nothing else"
        raise UnusableInput(f"{path} {empty}: there are no owners in it. Each line names one, as id,email.")


def _rows(file: TextIO, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of the line where it begins."""
    reader = csv.reader(file, strict=True)
    number = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        raise UnusableInput(f"{path}, line {number}: {error}.") from error


def _places(heading: list[str], place: str) -> tuple[int, int]:
    for column in COLUMNS:
        if (times := heading.count(column)) != 1:
            raise UnusableInput(f"{place}: the heading names the column {column} {times} times; once is needed.")
    return heading.index("id"), heading.index("email")


def _wanted(width: int) -> str:
    return "two, id and email," if width == len(COLUMNS) else f"{width}, as in the heading,"


def _owner(number: int, written_id: str, written_email: str, path: Path) -> OwnerLine:
    owner = owner_in(written_id)
    if owner is None:
        raise UnusableInput(f"{path}, line {number}: {written_id[:60]!r} is no UUID.")
    email = UserManager.normalize_email(written_email.strip())
    try:
        User._meta.get_field("email").run_validators(email)
    except ValidationError:
        raise UnusableInput(f"{path}, line {number}: {written_email[:60]!r} is no e-mail address.") from None
    if not email:
        raise UnusableInput(f"{path}, line {number}: there is no e-mail address.")
    return OwnerLine(number, owner, email)
