"""Children and their weeks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import wraps
from typing import Annotated, Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router

from habits import family
from habits.api import representation, schemas
from habits.api.admission import owner
from habits.api.conditions import condition, is_known, quoted
from habits.api.idempotency import P, View, idempotent
from habits.api.methods import READING
from habits.api.paths import CHILD
from habits.board import Board, Reflection
from habits.family import Cell, Contents, Line, NoSuchBoard, NoSuchWeek
from migration_ops.rollout.routing import Decision

router = Router(tags=["children"])

LONGEST_STATS = 520
"""Weeks: ten years."""

WEEK = f"{CHILD}/weeks/{{day}}"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Name = Annotated[str, Path(description="the child's name, percent-encoded")]
Day = Annotated[str, Path(description="any day of the week")]


@router.api_operation(READING, "/children", response=list[schemas.ChildOut])
def list_children(request: HttpRequest) -> HttpResponse:
    """The family's children that have weeks, by name."""
    found = family.children(owner(request).pk)
    return _said([representation.child(each) for each in found.children], found.served)


@router.api_operation(READING, f"{CHILD}/weeks", response=list[schemas.WeekOut])
def list_weeks(request: HttpRequest, name: Name) -> HttpResponse:
    """All weeks of the child, the earliest first."""
    found = family.week_list(owner(request).pk, name)
    return _said([representation.week(each) for each in found.weeks], found.served)


@router.api_operation(READING, WEEK, response={200: schemas.BoardOut, 304: None})
def read_week(request: HttpRequest, name: Name, day: Day) -> HttpResponse:
    """The week in which this day is."""
    found = family.board(owner(request).pk, name, _existing(day))
    response = _board(found.board, found.served)
    if is_known(request, family.tag(found.board)):
        response.status_code, response.content = 304, b""
        del response["Content-Type"]
    return response


def prepared(view: View[P]) -> View[P]:
    """Change a board only when the family's store is ready: goes around `idempotent`, which makes the transaction."""

    @wraps(view)
    def ready(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        family.prepare(owner(request).pk)
        return view(request, *args, **kwargs)

    return ready


@router.put(WEEK, response={200: schemas.BoardOut, 201: schemas.BoardOut})
@prepared
@idempotent
def put_week(request: HttpRequest, name: Name, day: Day, week: schemas.BoardIn) -> HttpResponse:
    """Make the week say exactly this. A habit that is there already keeps its identity."""
    asked = condition(request)
    written = family.put(
        owner(request).pk, name, any_day(day), _contents(week), seen=asked.seen, must_exist=asked.must_exist
    )
    return answer_to(written, 201 if written.created else 200)


@router.patch(f"{WEEK}/marks", response=schemas.BoardOut)
@prepared
@idempotent
def patch_marks(request: HttpRequest, name: Name, day: Day, cells: schemas.MarksIn) -> HttpResponse:
    """Set these cells of the week as it is now; all others stay as they are."""
    asked = condition(request)
    marks = [Cell(cell.position, cell.day, cell.status) for cell in cells.marks]
    written = family.set_marks(
        owner(request).pk, name, _existing(day), marks, seen=asked.seen, must_exist=asked.must_exist
    )
    return answer_to(written, 200)


@router.delete(WEEK, response={204: None})
@prepared
@idempotent
def delete_week(request: HttpRequest, name: Name, day: Day) -> HttpResponse:
    """Delete the week, in both stores."""
    asked = condition(request)
    written = family.delete(owner(request).pk, name, _existing(day), seen=asked.seen, must_exist=asked.must_exist)
    response = HttpResponse(status=204, headers={"Cache-Control": "no-store", **_served(written.served)})
    del response["Content-Type"]
    return response


@router.api_operation(READING, f"{CHILD}/stats", response=schemas.StatsOut)
def read_stats(
    request: HttpRequest,
    name: Name,
    weeks: Annotated[int, Query(ge=1, le=LONGEST_STATS, description="how many of the last weeks")] = 12,
) -> HttpResponse:
    """How often each colour was given, by week and by weekday."""
    found = family.stats(owner(request).pk, name, weeks)
    return _said(representation.stats(found.child, found), found.served)


def any_day(text: str) -> date:
    """The day of an address.

    Raises:
        NoSuchWeek: it is none.
    """
    if not _DAY.fullmatch(text):
        raise NoSuchWeek
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NoSuchWeek from None


def _existing(text: str) -> date:
    """The day of an address under which there has to be something.

    Raises:
        NoSuchBoard: there is nothing under what is no day.
    """
    try:
        return any_day(text)
    except NoSuchWeek:
        raise NoSuchBoard from None


def _contents(week: schemas.BoardIn) -> Contents:
    said = week.reflection
    return Contents(
        theme=week.theme,
        reward=week.reward,
        reflection=Reflection(said.bestDay, said.easiestHabit, said.nextWeekGoal),
        habits=[Line(habit.name, habit.times) for habit in week.habits],
    )


def _served(decision: Decision) -> dict[str, str]:
    return {"X-Served-From": decision.side.value, "X-Served-Reason": decision.reason.value}


def _said(value: dict[str, Any] | Sequence[Any], served: Decision) -> HttpResponse:
    return representation.answer(value, headers={**representation.UNKEPT, **_served(served)})


def _board(board: Board, served: Decision) -> HttpResponse:
    """May be kept by the family's own browser, which asks each time whether it is still so."""
    response = _said(representation.whole(board), served)
    response["Cache-Control"] = "private, no-cache"
    response["ETag"] = quoted(family.tag(board))
    return response


def answer_to(written: family.Written, status: int) -> HttpResponse:
    """What is answered to a change: the board as it is now, and with 201 also where it is."""
    if written.board is None:
        raise ValueError("A board that was written is there.")
    response = _board(written.board, written.served)
    response.status_code = status
    response["Cache-Control"] = "private, no-store"
    if status == 201:
        key = written.board.key
        response["Location"] = f"/api/children/{quote(key.child, safe='')}/weeks/{key.week_start.isoformat()}"
    return response
