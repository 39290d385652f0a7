"""How a family changes its boards.

Changes are made to the board as it is now, under its lock, never to a copy that somebody looked at before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import wraps
from hashlib import blake2b
from typing import ParamSpec
from uuid import UUID

from django.db import connection, transaction

from habits import achievements
from habits.board import Board, BoardKey, encode_key, mark
from habits.comparison import image
from habits.family.contents import Contents, board_of, refuse_too_much
from habits.family.keys import NoSuchBoard, existing_key_of, key_of
from habits.migration import boards as migration
from migration_ops.rollout.routing import Decision
from migration_ops.sync import dual_write
from migration_ops.sync.carry import OvertakenError
from migration_ops.sync.dual_write import Draft, Outcome, writing

logger = logging.getLogger(__name__)

Seen = str | Collection[str] | None
"""`tag` of the board that somebody looked at, or several that will do."""


class Changed(Exception):
    """The board is no longer the one the family looked at."""


@dataclass(frozen=True, slots=True)
class Written:
    """A change that was made.

    Attributes:
        board: as it is now; None if it was deleted.
        created: there was none before.
        served: the store that has the word.
        outcome: what became of the second write.
    """

    board: Board | None
    created: bool
    served: Decision
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Cell:
    """A mark for the habit at `position` on `day`, 0 for Monday."""

    position: int
    day: int
    status: str


def prepare(owner: UUID) -> None:
    """Whoever makes a transaction around a change of this family's boards calls this before it: a legacy file that
    somebody replaced is looked through first, and nothing is locked meanwhile.

    Raises:
        UnusableInput: the file cannot be read.
    """
    dual_write.prepare(migration, str(owner))


_Parameters = ParamSpec("_Parameters")

_ATTEMPTS = 3
"""Each needs somebody who changes this very week by SQL within a few milliseconds."""


def _from_what_there_is_now(change: Callable[_Parameters, Written]) -> Callable[_Parameters, Written]:
    """A change that would write over what somebody else has just written past the app begins anew, from that."""

    @wraps(change)
    def changed(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> Written:
        for _ in range(_ATTEMPTS - 1):
            try:
                return change(*arguments, **named)
            except OvertakenError:
                logger.info("A week was changed past the app while a family changed it; the change begins anew.")
        return change(*arguments, **named)

    return changed


@_from_what_there_is_now
def put(
    owner: UUID, child: str, day: date, contents: Contents, *, seen: Seen = None, must_exist: bool | None = None
) -> Written:
    """Make the board of this day's week say exactly this; habits that it has already keep their identity.

    Args:
        seen: `tag` of the board that the family looked at, or several that will do; None if it does not say.
        must_exist: whether there has to be a board, or has to be none; None where both will do.

    Raises:
        BoardError: the contents, the name or the week cannot be.
        Changed: the board is another one than the one that was seen, or is there, or is not, against `must_exist`.
    """
    key = key_of(owner, child, day)
    wanted = board_of(key, contents)
    with _writing(key) as draft:
        _refuse_changed(draft.before, seen, must_exist)
        draft.document = wanted
    return _written(draft)


@_from_what_there_is_now
def change(
    owner: UUID,
    child: str,
    day: date,
    how: Callable[[Board], Board],
    *,
    seen: Seen = None,
    must_exist: bool | None = None,
) -> Written:
    """Change the board as it is now; `seen` and `must_exist` as for `put`.

    Raises:
        NoSuchBoard: there is none.
        BoardError: the change cannot be made.
        Changed: the board is another one than the one that was seen, or is there against `must_exist`.
    """
    with _writing(existing_key_of(owner, child, day)) as draft:
        if draft.before is None:
            raise NoSuchBoard
        _refuse_changed(draft.before, seen, must_exist)
        changed = how(draft.before)
        refuse_too_much(changed)
        draft.document = changed
    return _written(draft)


@_from_what_there_is_now
def change_or_begin(
    owner: UUID,
    child: str,
    day: date,
    how: Callable[[Board], Board],
    *,
    seen: Seen = None,
    must_exist: bool | None = None,
) -> Written:
    """As `change`, and where there is no board yet, `how` is given an empty one.

    Raises:
        BoardError: the name or the week cannot be, or the change cannot be made.
        Changed: as for `put`.
    """
    key = key_of(owner, child, day)
    with _writing(key) as draft:
        _refuse_changed(draft.before, seen, must_exist)
        changed = how(Board(key) if draft.before is None else draft.before)
        refuse_too_much(changed)
        draft.document = changed
    return _written(draft)


def set_marks(
    owner: UUID, child: str, day: date, cells: Iterable[Cell], *, seen: Seen = None, must_exist: bool | None = None
) -> Written:
    """Set these cells, in their order, and leave all others as they are; arguments and errors as for `change`."""

    def marked(board: Board) -> Board:
        for cell in cells:
            board = mark(board, cell.position, cell.day, cell.status)
        return board

    return change(owner, child, day, marked, seen=seen, must_exist=must_exist)


@_from_what_there_is_now
def delete(owner: UUID, child: str, day: date, *, seen: Seen = None, must_exist: bool | None = None) -> Written:
    """Delete the week, on both sides; arguments as for `change`.

    Raises:
        NoSuchBoard: there is none.
        Changed: the board is another one than the one that was seen, or is there against `must_exist`.
    """
    with _writing(existing_key_of(owner, child, day)) as draft:
        if draft.before is None:
            raise NoSuchBoard
        _refuse_changed(draft.before, seen, must_exist)
        draft.document = None
    return _written(draft)


def tag(board: Board) -> str:
    """Of what the board says; another board of the week has another one, whichever store it comes from."""
    said = {**image(board), "habits": [[line.name, line.time_period, list(line.times)] for line in board.habits]}
    return blake2b(f"{encode_key(board.key)}{said}".encode(), digest_size=12).hexdigest()


@contextmanager
def _writing(key: BoardKey) -> Iterator[Draft]:
    """As `writing`, with what a change means to the family in the same commit."""
    if not connection.in_atomic_block:
        prepare(key.owner)
    with transaction.atomic():
        with writing(migration, key) as draft:
            yield draft
        if draft.outcome is not Outcome.UNCHANGED and draft.document is not None:
            achievements.award(draft.document)


def _written(draft: Draft) -> Written:
    return Written(draft.document, draft.before is None, draft.decision, draft.outcome)


def _refuse_changed(before: Board | None, seen: Seen, must_exist: bool | None) -> None:
    if must_exist is not None and must_exist != (before is not None):
        raise Changed
    if seen is None:
        return
    will_do = {seen} if isinstance(seen, str) else seen
    if before is None or tag(before) not in will_do:
        raise Changed
