"""What families see in answers: of boards the same bytes for the same board, whichever store it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse

from habits.board import BLANK, Board
from habits.family import ChildSummary, DayCount, Stats
from habits.notifications import Listing, Notification
from habits.summary import WeekSummary
from habits.templates import Template

UNKEPT: Mapping[str, str] = {"Cache-Control": "private, no-store"}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encoded(value: Any) -> bytes:
    """Canonical JSON: in the order of the value's keys, without white space, UTF-8."""
    return _encode(value).encode()


def answer(value: Any, status: int = 200, *, headers: Mapping[str, str] = UNKEPT) -> HttpResponse:
    """The value as JSON, which nobody keeps unless `headers` say otherwise."""
    return HttpResponse(encoded(value), status=status, content_type="application/json", headers=dict(headers))


def child(summary: ChildSummary) -> dict[str, Any]:
    return {
        "name": summary.name,
        "weeks": summary.weeks,
        "first_week": summary.first_week.isoformat(),
        "last_week": summary.last_week.isoformat(),
    }


def week(summary: WeekSummary) -> dict[str, Any]:
    return {
        "week_start": summary.key.week_start.isoformat(),
        "theme": summary.theme,
        "score": summary.score,
        "max_score": summary.max_score,
    }


def whole(board: Board) -> dict[str, Any]:
    """All a family sees of the week."""
    return {
        "child": board.key.child,
        "week_start": board.key.week_start.isoformat(),
        "week_end": board.week_end.isoformat(),
        "theme": board.theme,
        "reward": board.reward,
        "reflection": {
            "bestDay": board.reflection.best_day,
            "easiestHabit": board.reflection.easiest_habit,
            "nextWeekGoal": board.reflection.next_week_goal,
        },
        "habits": [
            {
                "position": position,
                "name": habit.name,
                "time_period": habit.time_period,
                "times": [status or BLANK for status in habit.times],
            }
            for position, habit in enumerate(board.habits)
        ],
        "score": board.score,
        "max_score": board.max_score,
    }


def stats(name: str, found: Stats) -> dict[str, Any]:
    return {
        "child": name,
        "weeks": [
            {
                "week_start": each.week_start.isoformat(),
                "score": each.score,
                "max_score": each.max_score,
                "days": [_day(count) for count in each.days],
            }
            for each in found.weeks
        ],
        "weekdays": [_day(count) for count in found.weekdays],
    }


def template(found: Template) -> dict[str, Any]:
    return {
        "id": str(found.id),
        "name": found.name,
        "description": found.description,
        "habits": [{"name": name} for name in found.habits],
        "child": found.child,
        "is_default": found.is_default,
    }


def notification(said: Notification) -> dict[str, Any]:
    return {
        "id": str(said.id),
        "type": said.kind,
        "title": said.title,
        "message": said.message,
        "link_url": said.link,
        "metadata": dict(said.details),
        "is_read": said.is_read,
        "created_at": said.created_at.isoformat(),
    }


def notifications(page: Listing) -> dict[str, Any]:
    return {
        "items": [notification(said) for said in page.notifications],
        "unread": page.unread,
        "next": None if page.before is None else str(page.before),
    }


def _day(count: DayCount) -> dict[str, int]:
    return {
        "day": count.day,
        "green": count.green,
        "yellow": count.yellow,
        "red": count.red,
        "none": count.none,
        "score": count.green,
    }
