"""Changes of a weekly board by plain forms: marks, habits, words. Each is made to the board as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.datastructures import MultiValueDictKeyError
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from habits import family
from habits.board import (
    Board,
    BoardKey,
    NoSuchPosition,
    Reflection,
    add_habit,
    fill_weekday,
    mark,
    move_habit,
    remove_habit,
    rename_habit,
    set_reflection,
    set_reward,
    set_theme,
)
from habits.web import board_view
from habits.web.addresses import board_or_404, key_or_404
from habits.web.once import Done, new_token, once
from habits.web.sentences import REFUSED, sentence
from habits.web.visitor import family_page, today

Change = Callable[[Board], Board]


@family_page
@require_POST
def marks(request: HttpRequest, name: str, day: date) -> HttpResponse:
    """One circle was tapped; its value says which and what it becomes."""
    position, weekday, status = _cell(request)
    change = _where_it_was(request, partial(mark, position=position, day=weekday, status=status))
    return _changed(request, name, day, change, place=f"#habit-{position}")


@family_page
@require_POST
def fill(request: HttpRequest, name: str, day: date) -> HttpResponse:
    """One weekday of every habit."""
    change = partial(fill_weekday, day=_number(request, "day"), status=request.POST.get("status", ""))
    return _changed(request, name, day, change)


@family_page
@require_POST
def add(request: HttpRequest, name: str, day: date) -> HttpResponse:
    return _changed(request, name, day, partial(add_habit, name=_line(request, "habit")), place="#add")


@family_page
@require_POST
def rename(request: HttpRequest, name: str, day: date, position: int) -> HttpResponse:
    change = _where_it_was(request, partial(rename_habit, position=position, name=_line(request, "habit")))
    return _changed(request, name, day, change, place=f"#habit-{position}")


@family_page
@require_POST
def move(request: HttpRequest, name: str, day: date, position: int) -> HttpResponse:
    to = _number(request, "to")
    change = _where_it_was(request, partial(move_habit, position=position, to=to))
    return _changed(request, name, day, change, place=f"#habit-{to}")


@family_page
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, name: str, day: date, position: int) -> HttpResponseBase:
    """Asks first, since the marks go as well."""
    if request.method == "POST":
        change = _where_it_was(request, partial(remove_habit, position=position))
        return _changed(request, name, day, change, message=gettext("The habit is removed."))
    board = board_view.view(board_or_404(key_or_404(request, name, day)).board, today())
    if position >= len(board.habits):
        raise Http404
    context = {"board": board, "habit": board.habits[position], "token": new_token()}
    return render(request, "family/habit_remove.html", context)


@family_page
@require_POST
def words(request: HttpRequest, name: str, day: date) -> HttpResponse:
    """Theme, reward and reflection: those that were edited, so that two parents can write at once."""
    edited = {
        field: _text(request, field)
        for field in ("theme", "reward", "best_day", "easiest_habit", "next_week_goal")
        if field in request.POST and _text(request, field) != _text(request, f"was_{field}")
    }
    return _changed(request, name, day, partial(_with_words, words=edited), message=gettext("Saved."), place="#words")


def _with_words(board: Board, words: Mapping[str, str]) -> Board:
    said = board.reflection
    board = set_theme(board, words.get("theme", board.theme))
    board = set_reward(board, words.get("reward", board.reward))
    reflection = Reflection(
        best_day=words.get("best_day", said.best_day),
        easiest_habit=words.get("easiest_habit", said.easiest_habit),
        next_week_goal=words.get("next_week_goal", said.next_week_goal),
    )
    return set_reflection(board, reflection)


def _where_it_was(request: HttpRequest, change: Change) -> Change:
    """The change, refused if the habits are no longer those the family looked at: positions would be other habits."""
    shape = request.POST.get("shape", "")

    def checked(board: Board) -> Board:
        if board_view.shape(board) != shape:
            raise NoSuchPosition
        return change(board)

    return checked


def _changed(
    request: HttpRequest, name: str, day: date, change: Change, *, message: str = "", place: str = ""
) -> HttpResponse:
    key = key_or_404(request, name, day)
    family.prepare(key.owner)
    return once(request, lambda: _change(key, change, message, place))


def _change(key: BoardKey, change: Change, message: str, place: str) -> Done:
    here = board_view.week_url(key.child, key.week_start)
    try:
        family.change(*key, change)
    except family.NoSuchBoard:
        return Done(here, gettext("This week was deleted in the meantime."), messages.ERROR)
    except REFUSED as refused:
        return Done(here, sentence(refused), messages.ERROR)
    return Done(f"{here}{place}", message)


def _cell(request: HttpRequest) -> tuple[int, int, str]:
    try:
        position, day, status = request.POST["cell"].split("-")
        return int(position), int(day), status
    except (MultiValueDictKeyError, ValueError):
        raise Http404 from None


def _number(request: HttpRequest, field: str) -> int:
    try:
        return int(request.POST[field])
    except (MultiValueDictKeyError, ValueError):
        raise Http404 from None


def _line(request: HttpRequest, field: str) -> str:
    return request.POST.get(field, "").strip()


def _text(request: HttpRequest, field: str) -> str:
    """Browsers send line ends in their own way."""
    return request.POST.get(field, "").replace("\r\n", "\n")
