"""How a child's weeks went: colours by week and by weekday, and the score as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.views.decorators.http import require_safe

from habits import family
from habits.web import charts
from habits.web.board_view import LETTERS
from habits.web.visitor import family_page, owner

SPANS = (4, 12, 26, 52)
"""Weeks that can be chosen."""

USUAL = 12


@family_page
@require_safe
def stats(request: HttpRequest, name: str) -> HttpResponseBase:
    """The last so many weeks that the child has."""
    span = _span(request)
    try:
        found = family.stats(owner(request), name, span)
    except family.NoSuchBoard:
        raise Http404 from None
    if found.child != name:
        return redirect("stats", name=found.child)
    weeks = [charts.Colours(_day(week.week_start), *_sum(week.days)) for week in found.weeks]
    weekdays = [charts.Colours(str(LETTERS[day.day]), *_sum([day])) for day in found.weekdays]
    curve = charts.curve([(week.score, week.max_score) for week in found.weeks])
    context = {
        "child": found.child,
        "child_url": reverse("child", kwargs={"name": found.child}),
        "spans": SPANS,
        "span": span,
        "weeks": charts.bars(weeks),
        "weekdays": charts.bars(weekdays),
        "curve": curve,
        "share": "" if curve.average is None else f"{curve.average}%",
        "first": found.weeks[0].week_start,
        "last": found.weeks[-1].week_start,
    }
    return render(request, "family/stats.html", context)


def _span(request: HttpRequest) -> int:
    try:
        span = int(request.GET.get("weeks", USUAL))
    except ValueError:
        raise Http404 from None
    if not 1 <= span <= max(SPANS):
        raise Http404
    return span


def _sum(days: Sequence[family.DayCount]) -> tuple[int, int, int, int]:
    return (
        sum(day.green for day in days),
        sum(day.yellow for day in days),
        sum(day.red for day in days),
        sum(day.none for day in days),
    )


def _day(day: date) -> str:
    return date_format(day, "n/j")
