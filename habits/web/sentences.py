"""What a family is told when a change cannot be made."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from habits import board, family
from habits.templates import InvalidTemplate
from migration_ops.exceptions import DocumentHeld

REFUSALS: Mapping[type[Exception], Promise | str] = {
    board.NoSuchPosition: _("Somebody else changed the habits in the meantime. Please look again."),
    board.InvalidHabitName: _("A habit needs a name of 1 to 200 characters."),
    board.InvalidText: _("The text contains a character that cannot be stored."),
    family.InvalidChildName: _("A child needs a name of 1 to 100 characters."),
    family.NoSuchWeek: _("There are the weeks from 2000 to 2100."),
    family.TooMuch: _("A board holds at most 500 habits, and a text at most 10,000 characters."),
    family.Changed: _("Somebody else changed this board in the meantime. Please look again."),
    DocumentHeld: _("This week is being looked after by our staff and cannot be changed just now. Nothing is lost."),
    board.BoardError: _("That cannot be done with this board."),
}
"""By exception; the closest ancestor counts."""

REFUSED = (board.BoardError, family.Changed, DocumentHeld)


def sentence(refused: Exception) -> str:
    """What there is to say of it; templates say it themselves.

    Raises:
        KeyError: it is none of `REFUSED`.
    """
    if isinstance(refused, InvalidTemplate):
        return str(refused)
    kind = next(kind for kind in type(refused).__mro__ if kind in REFUSALS or kind is Exception)
    return str(REFUSALS[kind])
