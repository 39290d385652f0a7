"""Ways to send a request: here within this process, to the services that the API and the pages call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from django.db import Error, connection, connections

from habits import family
from habits.board import Board, BoardError, BoardKey, add_habit, mark
from migration_ops.exceptions import MigrationOpsError
from migration_ops.patience import sqlstate

Seen = list[tuple[str, tuple[str, ...]]]
"""The lines of a board: name and seven marks each."""


class Failed(Exception):
    """The request failed, and nobody knows whether it was done.

    Attributes:
        reason: what failures are counted by.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LineMissing(Exception):
    """The board no longer has the line that was to be marked; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        served: the store that answered.
        seen: the lines of the board, where a board was asked for.
        outcome: what became of the second write, where that is told.
    """

    served: str
    seen: Seen | None = None
    outcome: str = ""


class Driver(Protocol):
    """Sends one request and waits for its answer; every call may raise `Failed`."""

    def board(self, key: BoardKey) -> Answer: ...

    def weeks(self, key: BoardKey) -> Answer:
        """All weeks of the child."""

    def children(self, owner: UUID) -> Answer: ...

    def append(self, key: BoardKey, name: str) -> Answer:
        """Add a blank line at the end of the board."""

    def mark(self, key: BoardKey, name: str, day: int, status: str) -> Answer:
        """Set a cell of the line with this name.

        Raises:
            LineMissing: there is no such line.
        """

    def close(self) -> None:
        """This thread sends nothing more."""


class InProcess:
    """Calls the services of `habits.family` in this process, on one database connection a thread."""

    def board(self, key: BoardKey) -> Answer:
        with _counted():
            answer = family.board(key.owner, key.child, key.week_start)
        return Answer(answer.served.side.value, _lines(answer.board))

    def weeks(self, key: BoardKey) -> Answer:
        with _counted():
            answer = family.weeks(key.owner, key.child)
        return Answer(answer.served.side.value)

    def children(self, owner: UUID) -> Answer:
        with _counted():
            answer = family.children(owner)
        return Answer(answer.served.side.value)

    def append(self, key: BoardKey, name: str) -> Answer:
        return self._change(key, lambda board: add_habit(board, name))

    def mark(self, key: BoardKey, name: str, day: int, status: str) -> Answer:
        def marked(board: Board) -> Board:
            positions = [position for position, habit in enumerate(board.habits) if habit.name == name]
            if not positions:
                raise LineMissing
            return mark(board, positions[0], day, status)

        return self._change(key, marked)

    def remove_lines(self, key: BoardKey, names: set[str]) -> Answer:
        """Take these lines off the board again."""

        def without(board: Board) -> Board:
            return replace(board, habits=tuple(habit for habit in board.habits if habit.name not in names))

        return self._change(key, without)

    def close(self) -> None:
        connections.close_all()

    def _change(self, key: BoardKey, how: Callable[[Board], Board]) -> Answer:
        with _counted():
            written = family.change(key.owner, key.child, key.week_start, how)
        return Answer(written.served.side.value, outcome=written.outcome.value)


@contextmanager
def _counted() -> Iterator[None]:
    """Turn what a service may raise into `Failed`."""
    try:
        yield
    except (family.NoSuchBoard, BoardError, MigrationOpsError, OSError) as error:
        raise Failed(type(error).__name__) from error
    except Error as error:
        connection.close_if_unusable_or_obsolete()
        raise Failed(sqlstate(error) or type(error).__name__) from error


def _lines(board: Board) -> Seen:
    return [(habit.name, tuple(status or "none" for status in habit.times)) for habit in board.habits]
