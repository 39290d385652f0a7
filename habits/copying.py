"""Begin a week with the habits of the week before it."""

from __future__ import annotations

from datetime import date
from functools import partial
from uuid import UUID

from habits import family
from habits.board import Board
from habits.template_habits import Mode, applied


class NothingToCopy(LookupError):
    """No week before this one has a habit."""


def source(owner: UUID, child: str, day: date) -> Board:
    """The latest week before the one of this day that has habits.

    Raises:
        NothingToCopy: there is none.
        BoardError: there can be no such week.
    """
    key = family.key_of(owner, child, day)
    try:
        boards = family.weeks(owner, child).boards
    except family.NoSuchBoard:
        raise NothingToCopy from None
    earlier = [board for board in boards if board.key.week_start < key.week_start and board.habits]
    if not earlier:
        raise NothingToCopy
    return earlier[-1]


def copy_last(
    owner: UUID, child: str, day: date, mode: Mode, *, seen: family.Seen = None, must_exist: bool | None = None
) -> family.Written:
    """Give this day's week the habits of the week before, as if that were a template; marks are not copied.

    Raises:
        NothingToCopy: there is no such week.
        BoardError: the name or the week cannot be, or the board would have too many habits.
        Changed: as for `family.put`.
    """
    names = [habit.name for habit in source(owner, child, day).habits]
    how = partial(applied, names=names, mode=mode)
    return family.change_or_begin(owner, child, day, how, seen=seen, must_exist=must_exist)
