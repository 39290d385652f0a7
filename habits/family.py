"""What a family does with its boards: the services and selectors behind the API and the pages.

Everything is scoped by the owner: a child of another family does not exist here. Each answer says which store gave it.
Changes are made to the board as it is now, under its lock, never to a copy that somebody looked at before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import blake2b
from uuid import UUID

from django.db import transaction

from habits import achievements
from habits.board import (
    BLANK,
    DAYS,
    FIRST_MONDAY,
    LAST_MONDAY,
    MAX_CHILD_NAME,
    Board,
    BoardError,
    BoardKey,
    Mark,
    Reflection,
    encode_key,
    habit,
    mark,
    monday_of,
    normal_child_name,
    set_reflection,
    set_reward,
    set_theme,
    storable,
)
from habits.comparison import image
from habits.migration import boards as migration
from migration_ops.rollout import reading
from migration_ops.rollout.routing import Decision, Reason
from migration_ops.sync.dual_write import Draft, Outcome, writing

MOST_HABITS = 500
MOST_CHARACTERS = 10_000
"""Of a theme, a reward or an answer. With at most `MOST_HABITS` habits a board stays within the megabyte of a row."""

Seen = str | Collection[str] | None
"""`tag` of the board that somebody looked at, or several that will do."""


class NoSuchBoard(LookupError):
    """This family has no such child, or the child no such week."""


class Held(NoSuchBoard):
    """Nothing of the week can be shown until a person has decided on its rows."""


class Changed(Exception):
    """The board is no longer the one the family looked at."""


class InvalidChildName(BoardError):
    """A child's name has 1 to 100 characters without outer white space."""


class NoSuchWeek(BoardError):
    """Weeks begin on the Mondays of 2000 to 2100."""


class TooMuch(BoardError):
    """A board has at most 500 habits, and a text at most 10,000 characters."""


@dataclass(frozen=True, slots=True)
class ChildSummary:
    """A child that has weeks: how many, and the Mondays of the first and last one."""

    name: str
    weeks: int
    first_week: date
    last_week: date


@dataclass(frozen=True, slots=True)
class Children:
    children: tuple[ChildSummary, ...]
    served: Decision


@dataclass(frozen=True, slots=True)
class Weeks:
    """Whole boards of one child, the earliest first."""

    boards: tuple[Board, ...]
    served: Decision


@dataclass(frozen=True, slots=True)
class OneBoard:
    board: Board
    served: Decision


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


@dataclass(frozen=True, slots=True)
class Cell:
    """A mark for the habit at `position` on `day`, 0 for Monday."""

    position: int
    day: int
    status: str


@dataclass(frozen=True, slots=True)
class DayCount:
    """How often each colour was given on one weekday, 0 for Monday; `none` counts the blank cells."""

    day: int
    green: int
    yellow: int
    red: int
    none: int


@dataclass(frozen=True, slots=True)
class WeekStats:
    week_start: date
    score: int
    max_score: int
    days: tuple[DayCount, ...]


@dataclass(frozen=True, slots=True)
class Stats:
    """The last weeks of a child, the earliest first, and all of them by weekday."""

    child: str
    weeks: tuple[WeekStats, ...]
    weekdays: tuple[DayCount, ...]
    served: Decision


def children(owner: UUID) -> Children:
    """The children of this family that have weeks, by name."""
    unit = str(owner)
    mondays: dict[str, list[date]] = {}
    decision = reading.served(migration, unit)
    for key in reading.keys(migration, unit):
        mondays.setdefault(key.child, []).append(key.week_start)
    found = (ChildSummary(name, len(weeks), min(weeks), max(weeks)) for name, weeks in mondays.items())
    return Children(tuple(sorted(found, key=lambda child: child.name)), decision)


def weeks(owner: UUID, child: str) -> Weeks:
    """Every week of this child.

    Raises:
        NoSuchBoard: the family has no such child.
    """
    name = normal_child_name(child)
    answer = reading.documents(migration, str(owner), lambda key: key.child == name)
    if not answer.documents:
        raise NoSuchBoard
    boards = sorted(answer.documents.values(), key=lambda board: board.key.week_start)
    return Weeks(tuple(boards), answer.decision)


def board(owner: UUID, child: str, day: date) -> OneBoard:
    """The board of the week in which this day is.

    Raises:
        Held: there is one, of which nothing can be shown.
        NoSuchBoard: there is none.
    """
    try:
        key = key_of(owner, child, day)
    except BoardError:
        raise NoSuchBoard from None
    answer = reading.document(migration, key)
    if key not in answer.documents:
        raise Held if answer.decision.reason is Reason.QUARANTINED else NoSuchBoard
    return OneBoard(answer.documents[key], answer.decision)


def stats(owner: UUID, child: str, last: int) -> Stats:
    """Counts over the last so many weeks that the child has.

    Raises:
        NoSuchBoard: the family has no such child.
    """
    found = weeks(owner, child)
    shown = found.boards[-last:]
    return Stats(
        child=shown[0].key.child,
        weeks=tuple(WeekStats(b.key.week_start, b.score, b.max_score, _by_day([b])) for b in shown),
        weekdays=_by_day(shown),
        served=found.served,
    )


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
    wanted = _made(key, contents)
    with _writing(key) as draft:
        _refuse_changed(draft.before, seen, must_exist)
        draft.document = wanted
    return Written(wanted, draft.before is None, draft.decision, draft.outcome)


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
    try:
        key = key_of(owner, child, day)
    except BoardError:
        raise NoSuchBoard from None
    with _writing(key) as draft:
        if draft.before is None:
            raise NoSuchBoard
        _refuse_changed(draft.before, seen, must_exist)
        changed = how(draft.before)
        _refuse_too_much(changed)
        draft.document = changed
    return Written(draft.document, False, draft.decision, draft.outcome)


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
        _refuse_too_much(changed)
        draft.document = changed
    return Written(changed, draft.before is None, draft.decision, draft.outcome)


def set_marks(
    owner: UUID, child: str, day: date, cells: Iterable[Cell], *, seen: Seen = None, must_exist: bool | None = None
) -> Written:
    """Set these cells, in their order, and leave all others as they are; arguments and errors as for `change`."""

    def marked(board: Board) -> Board:
        for cell in cells:
            board = mark(board, cell.position, cell.day, cell.status)
        return board

    return change(owner, child, day, marked, seen=seen, must_exist=must_exist)


def delete(owner: UUID, child: str, day: date, *, seen: Seen = None, must_exist: bool | None = None) -> Written:
    """Delete the week, on both sides; arguments as for `change`.

    Raises:
        NoSuchBoard: there is none.
        Changed: the board is another one than the one that was seen, or is there against `must_exist`.
    """
    try:
        key = key_of(owner, child, day)
    except BoardError:
        raise NoSuchBoard from None
    with _writing(key) as draft:
        if draft.before is None:
            raise NoSuchBoard
        _refuse_changed(draft.before, seen, must_exist)
        draft.document = None
    return Written(None, False, draft.decision, draft.outcome)


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


def child_name(name: str) -> str:
    """The name as it stands in keys.

    Raises:
        InvalidChildName: it cannot be one.
    """
    name = normal_child_name(name)
    if not 1 <= len(name) <= MAX_CHILD_NAME or not storable(name):
        raise InvalidChildName
    return name


def tag(board: Board) -> str:
    """Of what the board says; another board of the week has another one, whichever store it comes from."""
    said = {**image(board), "habits": [[line.name, line.time_period, list(line.times)] for line in board.habits]}
    return blake2b(f"{encode_key(board.key)}{said}".encode(), digest_size=12).hexdigest()


@contextmanager
def _writing(key: BoardKey) -> Iterator[Draft]:
    """As `writing`, with what a change means to the family in the same commit."""
    with transaction.atomic():
        with writing(migration, key) as draft:
            yield draft
        if draft.outcome is not Outcome.UNCHANGED and draft.document is not None:
            achievements.award(draft.document)


def _made(key: BoardKey, contents: Contents) -> Board:
    made = set_reflection(set_reward(set_theme(Board(key), contents.theme), contents.reward), contents.reflection)
    _refuse_too_much(made)
    if len(contents.habits) > MOST_HABITS:
        raise TooMuch
    return replace(made, habits=tuple(habit(line.name, line.times) for line in contents.habits))


def _refuse_too_much(made: Board) -> None:
    answers = made.reflection.best_day, made.reflection.easiest_habit, made.reflection.next_week_goal
    if len(made.habits) > MOST_HABITS or any(
        len(text) > MOST_CHARACTERS for text in (made.theme, made.reward, *answers)
    ):
        raise TooMuch


def _refuse_changed(before: Board | None, seen: Seen, must_exist: bool | None) -> None:
    if must_exist is not None and must_exist != (before is not None):
        raise Changed
    if seen is None:
        return
    will_do = {seen} if isinstance(seen, str) else seen
    if before is None or tag(before) not in will_do:
        raise Changed


def _by_day(boards: Iterable[Board]) -> tuple[DayCount, ...]:
    counts: list[Counter[Mark | None]] = [Counter() for _ in range(DAYS)]
    for each in boards:
        for line in each.habits:
            for day, status in enumerate(line.times):
                counts[day][status] += 1
    return tuple(
        DayCount(day, seen["green"], seen["yellow"], seen["red"], seen[BLANK] + seen[None])
        for day, seen in enumerate(counts)
    )
