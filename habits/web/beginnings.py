"""Begin a week: with nothing on it, with the habits of the week before, or with a template.

Where the week has habits already, a page asks what shall become of them, and only what was shown there is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from habits import copying, family, templates
from habits.board import BoardKey
from habits.copying import NothingToCopy
from habits.template_habits import Mode, applied
from habits.templates import NoSuchTemplate, Template
from habits.web import board_view
from habits.web.addresses import board_or_404, child_or_404, key_or_404
from habits.web.once import Done, new_token, once
from habits.web.sentences import REFUSED, sentence
from habits.web.visitor import family_page, today

NOTHING, LAST = "nothing", "last"
"""What to begin with, in a form; anything else is the id of a template."""


@dataclass(frozen=True, slots=True)
class Beginnings:
    """What this week can begin with: the week before, and templates, the one that is the default first."""

    last: date | None
    templates: tuple[Template, ...]


def beginnings(key: BoardKey) -> Beginnings:
    try:
        last = copying.source(*key).key.week_start
    except NothingToCopy:
        last = None
    listed = templates.listed(owner=key.owner, child=key.child)
    default = templates.default_for(owner=key.owner, child=key.child)
    return Beginnings(last, tuple(sorted(listed, key=lambda template: template != default)))


@family_page
@require_POST
def begin(request: HttpRequest, name: str, day: date) -> HttpResponse:
    """Do it, or go on to the question first."""
    key = key_or_404(request, name, day)
    child_or_404(request, key.child)
    family.prepare(key.owner)
    return once(request, lambda: _begin(request, key))


@family_page
@require_safe
def ask(request: HttpRequest, name: str, day: date) -> HttpResponseBase:
    """What shall become of the habits that are there?"""
    key = key_or_404(request, name, day)
    source = request.GET.get("source", "")
    found = board_or_404(key).board
    kept = {id(habit) for habit in applied(found, _names(key, source), Mode.REPLACE).habits}
    coming = applied(found, _names(key, source), Mode.APPEND).habits[len(found.habits) :]
    context = {
        "board": board_view.view(found, today()),
        "source": source,
        "going": [habit.name for habit in found.habits if id(habit) not in kept],
        "coming": [habit.name for habit in coming],
        "token": new_token(),
    }
    return render(request, "family/week_begin.html", context)


def _begin(request: HttpRequest, key: BoardKey) -> Done:
    here = board_view.week_url(key.child, key.week_start)
    source, mode, seen = (request.POST.get(field, "") for field in ("source", "mode", "seen"))
    try:
        if source == NOTHING:
            family.put(*key, family.Contents(), must_exist=False)
        elif mode:
            _apply(key, source, Mode(mode), seen=seen, must_exist=True)
        elif _has_habits(key):
            question = reverse("week_begin_ask", kwargs={"name": key.child, "day": key.week_start})
            return Done(f"{question}?{urlencode({'source': source})}")
        else:
            _apply(key, source, Mode.APPEND)
    except (NothingToCopy, NoSuchTemplate):
        return Done(here, gettext("That is no longer there to begin with."), messages.ERROR)
    except family.Changed as changed:
        if source == NOTHING:  # the other parent was quicker, and that is what was wanted
            return Done(here)
        return Done(here, sentence(changed), messages.ERROR)
    except REFUSED as refused:
        return Done(here, sentence(refused), messages.ERROR)
    except ValueError:
        raise Http404 from None
    return Done(here)


def _apply(key: BoardKey, source: str, mode: Mode, *, seen: str | None = None, must_exist: bool | None = None) -> None:
    if source == LAST:
        copying.copy_last(*key, mode, seen=seen, must_exist=must_exist)
    else:
        templates.apply(
            owner=key.owner,
            template=UUID(source),
            child=key.child,
            day=key.week_start,
            mode=mode,
            overwrite=True,
            seen=seen,
            must_exist=must_exist,
        )


def _has_habits(key: BoardKey) -> bool:
    try:
        return bool(family.board(*key).board.habits)
    except family.NoSuchBoard:
        return False


def _names(key: BoardKey, source: str) -> list[str]:
    try:
        if source == LAST:
            return [habit.name for habit in copying.source(*key).habits]
        return list(templates.get(owner=key.owner, template=UUID(source)).habits)
    except (NothingToCopy, NoSuchTemplate, ValueError):
        raise Http404 from None
