"""The habits of a template, and what applying them makes of a board; pure.

A habit of the template and one of the board are the same if their names are, without outer white space, the n-th
occurrence to the n-th: the rule by which rows of one week are merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from habits.board import BLANK_WEEK, Board, Habit, habit


class Mode(StrEnum):
    """What becomes of habits that the week has already."""

    REPLACE = "replace"
    """Those that the template does not name go, with their marks; the others take the template's order."""

    APPEND = "append"
    """All stay as they are; those that the template names and the week lacks follow."""


def names_checked(names: Sequence[str]) -> tuple[str, ...]:
    """The names, if each can be a habit's.

    Raises:
        InvalidHabitName, InvalidText: one cannot be stored.
    """
    return tuple(habit(name, BLANK_WEEK).name for name in names)


def applied(board: Board, names: Sequence[str], mode: Mode) -> Board:
    """The board with these habits; a habit that stays keeps its name, its marks and its identity.

    Raises:
        InvalidHabitName, InvalidText: a name cannot be stored.
    """
    there = {name: iter(habits) for name, habits in _by_name(board.habits).items()}
    found = [next(there.get(name.strip(), _NONE), None) for name in names]
    if mode is Mode.APPEND:
        added = tuple(habit(name, BLANK_WEEK) for name, known in zip(names, found, strict=True) if known is None)
        return replace(board, habits=board.habits + added)
    wanted = (known or habit(name, BLANK_WEEK) for name, known in zip(names, found, strict=True))
    return replace(board, habits=tuple(wanted))


_NONE: Iterator[Habit] = iter(())


def _by_name(habits: Sequence[Habit]) -> dict[str, list[Habit]]:
    found: dict[str, list[Habit]] = {}
    for each in habits:
        found.setdefault(each.name.strip(), []).append(each)
    return found
