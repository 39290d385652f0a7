"""The weekly board: show it, delete it."""

from __future__ import annotations

from datetime import date

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from habits import family
from habits.web import board_view
from habits.web.addresses import board_or_404, child_or_404, key_or_404
from habits.web.beginnings import beginnings
from habits.web.once import Done, new_token, once
from habits.web.sentences import REFUSED, sentence
from habits.web.visitor import family_page, today
from migration_ops.rollout.routing import Decision


@family_page
@require_safe
def week(request: HttpRequest, name: str, day: date) -> HttpResponseBase:
    """The board of this week, or the offer to make it."""
    key = key_or_404(request, name, day)
    if (key.child, key.week_start) != (name, day):
        return redirect("week", name=key.child, day=key.week_start)
    try:
        found = family.board(key.owner, key.child, key.week_start)
    except family.Held:
        frame = board_view.frame(key.child, key.week_start, today())
        return render(request, "family/week_held.html", {"frame": frame})
    except family.NoSuchBoard:
        last = child_or_404(request, key.child).last_week
        context = {
            "frame": board_view.frame(key.child, key.week_start, today()),
            "latest": board_view.WeekLink(last, board_view.week_url(key.child, last)),
            "token": new_token(),
            "beginnings": beginnings(key),
        }
        return render(request, "family/week_missing.html", context)
    context = {
        "board": board_view.view(found.board, today()),
        "token": new_token(),
        "weekdays": list(WEEKDAYS.values()),
        "words": board_view.WORDS,
        "beginnings": beginnings(key),
    }
    return served(render(request, "family/week.html", context), found.served)


@family_page
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, name: str, day: date) -> HttpResponseBase:
    """Asks first; deletes only the board that was shown."""
    key = key_or_404(request, name, day)
    if request.method != "POST":
        found = board_or_404(key).board
        context = {"board": board_view.view(found, today()), "token": new_token()}
        return render(request, "family/week_delete.html", context)

    def work() -> Done:
        try:
            family.delete(*key, seen=request.POST.get("seen", ""))
        except family.NoSuchBoard:
            pass  # somebody else was quicker, and that is what was wanted
        except REFUSED as refused:
            return Done(board_view.week_url(key.child, key.week_start), sentence(refused), messages.ERROR)
        return Done(reverse("children"), gettext("The week is deleted."))

    family.prepare(key.owner)
    return once(request, work)


def served(response: HttpResponse, decision: Decision) -> HttpResponse:
    """The answer, with the store it comes from in its headers, as the API has them."""
    response["X-Served-From"], response["X-Served-Reason"] = decision.side.value, decision.reason.value
    return response
