"""The children of a family: which one is it about, and a new one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from habits import family
from habits.board import monday_of
from habits.web.addresses import child_or_404
from habits.web.once import Done, new_token, once
from habits.web.sentences import REFUSED, sentence
from habits.web.visitor import family_page, owner, today

if TYPE_CHECKING:
    from django.http import HttpResponse

HUES = 6


@dataclass(frozen=True, slots=True)
class ChildCard:
    """A child to choose; `hue` is the number of its colour, the same for the same name."""

    name: str
    initial: str
    hue: int
    weeks: int
    last_week: date
    url: str


def card(child: family.ChildSummary) -> ChildCard:
    return ChildCard(
        name=child.name,
        initial=child.name[:1],
        hue=sum(map(ord, child.name)) % HUES,
        weeks=child.weeks,
        last_week=child.last_week,
        url=reverse("child", kwargs={"name": child.name}),
    )


@family_page
@require_http_methods(["GET", "HEAD", "POST"])
def children(request: HttpRequest) -> HttpResponseBase:
    """The child selector; a new child is its first week."""
    if request.method == "POST":
        family.prepare(owner(request))
        return once(request, lambda: _first_week(request))
    cards = [card(child) for child in family.children(owner(request)).children]
    return render(request, "family/children.html", {"children": cards, "token": new_token()})


def _first_week(request: HttpRequest) -> Done:
    typed = request.POST.get("name", "")
    try:
        key = family.key_of(owner(request), typed, today())
        known = any(child.name == key.child for child in family.children(owner(request)).children)
        if not known:
            family.put(owner(request), key.child, key.week_start, family.Contents(), must_exist=False)
    except REFUSED as refused:
        return Done(reverse("children"), sentence(refused), messages.ERROR)
    if known:
        return Done(reverse("child", kwargs={"name": key.child}))
    welcome = gettext("Welcome, %(name)s! Add the first habit.") % {"name": key.child}
    return Done(reverse("week", kwargs={"name": key.child, "day": key.week_start}), welcome)


@family_page
@require_safe
def child(request: HttpRequest, name: str) -> HttpResponse:
    """On to the week that it is where the family lives."""
    found = child_or_404(request, name)
    return redirect("week", name=found.name, day=monday_of(today()))
