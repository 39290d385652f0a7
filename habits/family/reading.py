"""What a family sees of its boards. Each answer says which store gave it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from uuid import UUID

from habits.board import Board, BoardKey, normal_child_name
from habits.family.keys import NoSuchBoard, existing_key_of
from habits.migration import boards as migration
from habits.summary import WeekSummary, summaries
from migration_ops.rollout import reading
from migration_ops.rollout.routing import Decision, Reason


class Held(NoSuchBoard):
    """Nothing of the week can be shown until a person has decided on its rows."""


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
class WeekList:
    """The weeks of one child in colours, the earliest first."""

    weeks: tuple[WeekSummary, ...]
    served: Decision


@dataclass(frozen=True, slots=True)
class OneBoard:
    board: Board
    served: Decision


def children(owner: UUID) -> Children:
    """The children of this family that have weeks, by name."""
    mondays: dict[str, list[date]] = {}
    listed = reading.listing(migration, str(owner))
    for key in listed.keys:
        mondays.setdefault(key.child, []).append(key.week_start)
    found = (ChildSummary(name, len(weeks), min(weeks), max(weeks)) for name, weeks in mondays.items())
    return Children(tuple(sorted(found, key=lambda child: child.name)), listed.decision)


def week_list(owner: UUID, child: str, *, last: int | None = None) -> WeekList:
    """The last so many weeks of this child, or every one, in colours.

    Raises:
        NoSuchBoard: the family has no such child.
    """
    name, unit = normal_child_name(child), str(owner)

    def is_its(key: BoardKey) -> bool:
        return key.child == name

    if last is None:
        answer = reading.documents(migration, unit, is_its, load=summaries)
    else:
        answer = reading.last(migration, unit, is_its, order=attrgetter("week_start"), most=last, load=summaries)
    if not answer.documents:
        raise NoSuchBoard
    return WeekList(tuple(answer.documents[key] for key in sorted(answer.documents)), answer.decision)


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
    key = existing_key_of(owner, child, day)
    answer = reading.document(migration, key)
    if key not in answer.documents:
        raise Held if answer.decision.reason is Reason.QUARANTINED else NoSuchBoard
    return OneBoard(answer.documents[key], answer.decision)
