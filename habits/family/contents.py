"""Everything a family decides about a board, and how much of it there may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from habits.board import (
    BLANK,
    DAYS,
    Board,
    BoardError,
    BoardKey,
    Reflection,
    habit,
    set_reflection,
    set_reward,
    set_theme,
)

MOST_HABITS = 500
MOST_CHARACTERS = 10_000
"""Of a theme, a reward or an answer. With at most `MOST_HABITS` habits a board stays within the megabyte of a row."""


class TooMuch(BoardError):
    """A board has at most 500 habits, and a text at most 10,000 characters."""


@dataclass(frozen=True, slots=True)
class Line:
    """A habit as a family sends it; `times` are seven marks, Monday first."""

    name: str
    times: Sequence[str] = (BLANK,) * DAYS


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything a family decides about a board."""

    theme: str = ""
    reward: str = ""
    reflection: Reflection = field(default_factory=Reflection)
    habits: Sequence[Line] = ()


def board_of(key: BoardKey, contents: Contents) -> Board:
    """A board that says exactly this.

    Raises:
        BoardError: it cannot be.
    """
    made = set_reflection(set_reward(set_theme(Board(key), contents.theme), contents.reward), contents.reflection)
    refuse_too_much(made)
    if len(contents.habits) > MOST_HABITS:
        raise TooMuch
    return replace(made, habits=tuple(habit(line.name, line.times) for line in contents.habits))


def refuse_too_much(made: Board) -> None:
    """Look at the sizes alone.

    Raises:
        TooMuch: more habits than `MOST_HABITS`, or a text of more than `MOST_CHARACTERS`.
    """
    answers = made.reflection.best_day, made.reflection.easiest_habit, made.reflection.next_week_goal
    if len(made.habits) > MOST_HABITS or any(
        len(text) > MOST_CHARACTERS for text in (made.theme, made.reward, *answers)
    ):
        raise TooMuch
