"""Which week of which child is meant."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from habits.board import (
    FIRST_MONDAY,
    LAST_MONDAY,
    MAX_CHILD_NAME,
    BoardError,
    BoardKey,
    monday_of,
    normal_child_name,
    storable,
)


class NoSuchBoard(LookupError):
    """This family has no such child, or the child no such week."""


class InvalidChildName(BoardError):
    """A child's name has 1 to 100 characters without outer white space."""


class NoSuchWeek(BoardError):
    """Weeks begin on the Mondays of 2000 to 2100."""


def key_of(owner: UUID, child: str, day: date) -> BoardKey:
    """Whose week it is.

    Raises:
        InvalidChildName, NoSuchWeek: it cannot be one.
    """
    name = child_name(child)
    monday = monday_of(day) if day >= FIRST_MONDAY else date.min
    if not FIRST_MONDAY <= monday <= LAST_MONDAY:
        raise NoSuchWeek
    return BoardKey(owner, name, monday)


def existing_key_of(owner: UUID, child: str, day: date) -> BoardKey:
    """As `key_of`, of a week that there has to be.

    Raises:
        NoSuchBoard: it cannot be one, so there is none.
    """
    try:
        return key_of(owner, child, day)
    except BoardError:
        raise NoSuchBoard from None


def child_name(name: str) -> str:
    """The name as it stands in keys.

    Raises:
        InvalidChildName: it cannot be one.
    """
    name = normal_child_name(name)
    if not 1 <= len(name) <= MAX_CHILD_NAME or not storable(name):
        raise InvalidChildName
    return name
