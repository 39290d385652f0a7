"""What the address of a page means for the family that looks; a 404 if it means nothing."""

from __future__ import annotations

from datetime import date

from django.http import Http404, HttpRequest

from habits import family
from habits.board import BoardError, BoardKey
from habits.web.visitor import owner, today


def key_or_404(request: HttpRequest, name: str, day: date) -> BoardKey:
    """Which board it is about.

    Raises:
        Http404: there can be none.
    """
    try:
        return family.key_of(owner(request), name, day)
    except BoardError:
        raise Http404 from None


def board_or_404(key: BoardKey) -> family.OneBoard:
    """The board as it is.

    Raises:
        Http404: there is none.
    """
    try:
        return family.board(*key)
    except family.NoSuchBoard:
        raise Http404 from None


def child_or_404(request: HttpRequest, name: str) -> family.ChildSummary:
    """This child of the family.

    Raises:
        Http404: it has none of this name.
    """
    wanted = key_or_404(request, name, today()).child
    for found in family.children(owner(request)).children:
        if found.name == wanted:
            return found
    raise Http404
