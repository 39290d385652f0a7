"""What each family is told of a week that is over: how green it was, and which habit went best. Once a family and week.

The boards come from whichever store has the word for them, so the report is right at every stage.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from habits.board import FIRST_MONDAY, Board, monday_of
from habits.comparison import marks
from habits.migration import boards as migration
from habits.models import Notification, NotificationType, User
from habits.notifications import board_link, tell_once
from migration_ops.backfill.errors import Kind, kind
from migration_ops.exceptions import UnusableInput
from migration_ops.failpoints import failpoint, label
from migration_ops.rollout import reading

FAMILIES_AT_A_TIME = 200

MOST_CHILDREN = 20
"""Of a family that are told of one by one; the totals are of all."""

TOLD = label("weekly_reports.told")

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of one family's report."""

    MADE = "made"
    """The family is told; in a dry run, it would be."""

    EXISTING = "existing"
    """The family was told before."""

    WITHOUT_MARKS = "without_marks"
    """None of its children has a mark in this week."""

    FAILED = "failed"
    """The database refused; the log says why, the others were told, and the same again tries it again."""


@dataclass(frozen=True, slots=True)
class Best:
    """The habit with the most green days; of several the first."""

    name: str
    green: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The week of one child."""

    child: str
    score: int
    max_score: int
    yellow: int
    red: int
    best: Best | None


def week_to_report(day: date | None, *, today: date) -> date:
    """The Monday of this day's week, or of the last week that is over.

    Raises:
        UnusableInput: the week is not over, or there is none: a report is never made again.
    """
    this_week = monday_of(today)
    if day is None:
        return this_week - timedelta(weeks=1)
    if day < FIRST_MONDAY:
        raise UnusableInput(f"There are no weeks before {FIRST_MONDAY}.")
    if day >= this_week:
        raise UnusableInput(f"The week of {day} is not over yet. Its reports can be made from its next Monday on.")
    return monday_of(day)


def make(*, week: date, dry_run: bool = False) -> Iterator[Outcome]:
    """Tell every family that has marks in this week and was not told yet; one outcome a family, in any order.

    Each family is told in a transaction of its own: whoever stops in between can begin anew and finishes.
    """
    for families in _pages():
        told = set(
            Notification.objects.filter(
                user_id__in=families, type=NotificationType.WEEKLY_REPORT, metadata__week=week.isoformat()
            ).values_list("user_id", flat=True)
        )
        for family in families:
            yield Outcome.EXISTING if family in told else _report(family, week, dry_run=dry_run)


def summary(board: Board) -> Summary:
    """How this week went."""
    counts = {colour: sum(habit.times.count(colour) for habit in board.habits) for colour in ("yellow", "red")}
    best = max(board.habits, key=lambda habit: habit.times.count("green"), default=None)
    green = 0 if best is None else best.times.count("green")
    return Summary(
        child=board.key.child,
        score=board.score,
        max_score=board.max_score,
        yellow=counts["yellow"],
        red=counts["red"],
        best=Best(best.name, green) if best is not None and green else None,
    )


def _pages() -> Iterator[list[UUID]]:
    last: UUID | None = None
    while True:
        users = User.objects.order_by("pk") if last is None else User.objects.order_by("pk").filter(pk__gt=last)
        page = list(users.values_list("pk", flat=True)[:FAMILIES_AT_A_TIME])
        if not page:
            return
        yield page
        last = page[-1]


def _report(family: UUID, week: date, *, dry_run: bool) -> Outcome:
    found = reading.documents(migration, str(family), lambda key: key.week_start == week).documents.values()
    boards = sorted((board for board in found if marks(board)), key=lambda board: board.key.child)
    if not boards:
        return Outcome.WITHOUT_MARKS
    if dry_run:
        return Outcome.MADE
    try:
        with transaction.atomic(), translation.override(settings.LANGUAGE_CODE):
            told = _tell(family, week, [summary(board) for board in boards])
    except DatabaseError as error:
        if kind(error) is not Kind.ROW:
            raise
        reason = str(error).split("\n", 1)[0]  # what follows quotes the row, with names in it
        logger.error("The report of %s for the week from %s was refused: %s", family, week, reason)  # noqa: TRY400
        return Outcome.FAILED
    failpoint(TOLD)
    return Outcome.MADE if told else Outcome.EXISTING


def _tell(family: UUID, week: date, children: Sequence[Summary]) -> bool:
    score, most = sum(child.score for child in children), sum(child.max_score for child in children)
    shown = children[:MOST_CHILDREN]
    return tell_once(
        owner=family,
        kind=NotificationType.WEEKLY_REPORT,
        title=_("The week from %(week)s: %(score)s of %(most)s green")
        % {"week": date_format(week), "score": score, "most": most},
        message="\n".join(map(_line, shown)),
        link=board_link(children[0].child, week) if len(children) == 1 else "/",
        details={
            "week": week.isoformat(),
            "score": score,
            "max_score": most,
            "yellow": sum(child.yellow for child in children),
            "red": sum(child.red for child in children),
            "children": [_facts(child) for child in shown],
        },
    )


def _line(child: Summary) -> str:
    said = {
        "child": child.child,
        "score": child.score,
        "most": child.max_score,
        "yellow": child.yellow,
        "red": child.red,
    }
    line = _("%(child)s: %(score)s of %(most)s green, %(yellow)s yellow, %(red)s red.") % said
    if child.best is None:
        return line
    best = _("Best habit: %(habit)s, %(green)s of 7 days.") % {"habit": child.best.name, "green": child.best.green}
    return f"{line} {best}"


def _facts(child: Summary) -> dict[str, Any]:
    best = None if child.best is None else {"name": child.best.name, "green": child.best.green}
    return {
        "child": child.child,
        "score": child.score,
        "max_score": child.max_score,
        "yellow": child.yellow,
        "red": child.red,
        "best_habit": best,
    }
