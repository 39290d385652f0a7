"""Which problem each exception amounts to. Nothing of an exception's own text reaches a client."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError

from habits import board, family, notifications, templates
from habits.api import problems
from habits.api.problems import Finding, Problem, ProblemRaised
from habits.api.validation import findings
from migration_ops.backfill.errors import Kind, kind
from migration_ops.exceptions import DocumentHeld, MigrationOpsError, StillLocked

logger = logging.getLogger("habits.api")

OF_EXCEPTION: Mapping[type[Exception], Problem] = {
    AuthenticationError: problems.NOT_SIGNED_IN,
    Throttled: problems.TOO_MANY_REQUESTS,
    Http404: problems.NOT_FOUND,
    RequestDataTooBig: problems.TOO_LARGE,
    SuspiciousOperation: problems.BAD_REQUEST,
    BadRequest: problems.BAD_REQUEST,
    MultiPartParserError: problems.BAD_REQUEST,
    UnreadablePostError: problems.BAD_REQUEST,
    family.NoSuchBoard: problems.NOT_FOUND,
    family.Held: problems.HELD_FROM_SIGHT,
    family.Changed: problems.CHANGED,
    templates.NoSuchTemplate: problems.NOT_FOUND,
    templates.WouldOverwrite: problems.WOULD_OVERWRITE,
    notifications.NoSuchNotification: problems.NOT_FOUND,
    DocumentHeld: problems.HELD,
    StillLocked: problems.BUSY,
    MigrationOpsError: problems.UNAVAILABLE,
}
"""Problem by exception; the closest ancestor counts."""

OF_BOARD: Mapping[type[Exception], Promise | str] = {
    board.NoSuchPosition: _("The week has no habit at this position."),
    board.NoSuchDay: _("A week has the days 0 (Monday) to 6 (Sunday)."),
    board.UnknownMark: _("A mark is green, yellow, red or none."),
    board.InvalidHabitName: _("A habit's name has 1 to 200 characters, one of them visible."),
    board.InvalidText: _("The text contains a character that cannot be stored."),
    family.InvalidChildName: _("A child's name has 1 to 100 characters, the outer ones visible."),
    family.NoSuchWeek: _("There are the weeks from 2000 to 2100; a day is written as 2025-07-21."),
    family.TooMuch: _("A week has at most 500 habits, and a text at most 10,000 characters."),
    templates.TooManyTemplates: _("A family has at most 100 templates; delete one first."),
    templates.ForAnotherChild: _("This template is another child's; share it with the family first."),
    templates.InvalidTemplate: _(
        "A template has a name of 1 to 200 characters, one of them visible, 1 to 500 habits, and a description of at"
        " most 10,000 characters."
    ),
    board.BoardError: _("The week cannot be changed like that."),
}
"""What cannot be about a change; the closest ancestor counts."""

OF_DATABASE: Mapping[Kind, Problem] = {
    Kind.CONFLICT: problems.BUSY,
    Kind.BLOCKED: problems.BUSY,
    Kind.DISCONNECTED: problems.UNAVAILABLE,
    Kind.EXHAUSTED: problems.UNAVAILABLE,
    Kind.DEFECT: problems.UNAVAILABLE,
    Kind.ROW: problems.FAULT,
}


def problem_of(error: Exception) -> ProblemRaised:
    """What the client is told about this exception; what is our own fault is logged."""
    if isinstance(error, HttpError) and error.__cause__ is not None:
        error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    if isinstance(error, ProblemRaised):
        return error
    if isinstance(error, ValidationError):
        return ProblemRaised(problems.INVALID, findings(error.errors))
    if isinstance(error, board.BoardError):
        return ProblemRaised(problems.INVALID, (Finding(OF_BOARD[_closest(error, OF_BOARD)]),))
    if isinstance(error, tuple(OF_EXCEPTION)):
        found = OF_EXCEPTION[_closest(error, OF_EXCEPTION)]
    elif isinstance(error, Error):
        found = OF_DATABASE[kind(error)]
    elif isinstance(error, HttpError):
        found = problems.BY_STATUS.get(error.status_code, problems.BAD_REQUEST)
    else:
        found = problems.FAULT
    if found.status >= 500:
        logger.error("Answered with %s %s", found.status, found.code, exc_info=error)
    return ProblemRaised(found)


def respond(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer to a request that ended with this exception."""
    raised = problem_of(error)
    return problems.answer(request, raised.problem, raised.findings, raised.headers)


def handle_errors(api: NinjaAPI) -> None:
    """Let `respond` answer for every exception; the framework's own handlers come first otherwise."""
    for raised in (Exception, Http404, HttpError, ValidationError):
        api.add_exception_handler(raised, respond)  # type: ignore[arg-type]  # nobody raises a bare class


def _closest(error: Exception, known: Mapping[type[Exception], object]) -> type[Exception]:
    return next(ancestor for ancestor in type(error).__mro__ if ancestor in known)
