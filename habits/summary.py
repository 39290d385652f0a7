"""A board without its texts, for lists and statistics; a store may say it without reading whole boards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from habits.board import DAYS, Board, BoardKey, Mark


@dataclass(frozen=True, slots=True)
class WeekSummary:
    """What a board says in colours.

    Attributes:
        marks: seven of every habit, as in the board.
    """

    key: BoardKey
    theme: str
    marks: tuple[tuple[Mark | None, ...], ...]

    @property
    def score(self) -> int:
        """How many cells are green."""
        return sum(times.count("green") for times in self.marks)

    @property
    def max_score(self) -> int:
        return DAYS * len(self.marks)


@runtime_checkable
class SummarizesWeeks(Protocol):
    """A fast path a store may offer. Without it, `summaries` takes them from whole boards."""

    def summaries(self, keys: Collection[BoardKey]) -> dict[BoardKey, WeekSummary]:
        """Of the boards that `load` would return."""
        ...


def summaries(store: Any, keys: Collection[BoardKey]) -> dict[BoardKey, WeekSummary]:
    """The summaries of these boards of a store; absent keys are absent."""
    if isinstance(store, SummarizesWeeks):
        return store.summaries(keys)
    return {board.key: summary(board) for board in store.load(keys).documents}


def summary(board: Board) -> WeekSummary:
    return WeekSummary(board.key, board.theme, tuple(habit.times for habit in board.habits))
