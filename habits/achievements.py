"""What a family is congratulated on: a week that is all green, once for each child and week, whatever becomes of it."""

from __future__ import annotations

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from habits.asides import aside
from habits.board import Board
from habits.models import NotificationType
from habits.notifications import board_link, tell_once


def award(board: Board) -> None:
    """Congratulate on this board, just written, if it is all green and nobody did before.

    In the transaction of the write and gone with it; what goes wrong here does not fail it.
    """
    if not board.is_all_green:
        return
    key, habits = board.key, len(board.habits)
    with aside(f"an achievement of {key.owner}"):
        tell_once(
            owner=key.owner,
            kind=NotificationType.ACHIEVEMENT,
            title=_("%(child)s has an all-green week!") % {"child": key.child},
            message=ngettext(
                "%(count)s habit, seven green days: the week from %(week)s is complete.",
                "%(count)s habits, seven green days each: the week from %(week)s is complete.",
                habits,
            )
            % {"count": habits, "week": date_format(key.week_start)},
            link=board_link(key.child, key.week_start),
            details={
                "child": key.child,
                "week": key.week_start.isoformat(),
                "habits": habits,
                "score": board.score,
            },
        )
