"""What families see when something is wrong: a page in their language that says what to do, without a database."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from migration_ops.backfill.errors import Kind, kind
from migration_ops.exceptions import MigrationOpsError

logger = logging.getLogger(__name__)

RETRY_AFTER = 5
"""Seconds after which it makes sense to try again."""


class StoreAway:
    """Middleware: a page that could not be made is a 503 if the database or the legacy file is out of reach or busy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not _is_away(error):
            return None
        logger.error("No store could answer %s %s.", request.method, request.path, exc_info=error)
        return unavailable()


def server_error(request: HttpRequest) -> HttpResponse:
    """For what went wrong outside of a view too, such as the session of the visitor."""
    if _is_away(sys.exc_info()[1]):
        return unavailable()
    return HttpResponse(render_to_string("500.html"), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that was open for too long, or was sent from elsewhere."""
    return HttpResponse(render_to_string("403_csrf.html"), status=403)


def _is_away(error: BaseException | None) -> bool:
    """Whether it may be better in a moment; the API says `busy` or `unavailable` of the same."""
    if isinstance(error, Error):
        return kind(error) is not Kind.ROW
    return isinstance(error, MigrationOpsError)


def unavailable() -> HttpResponse:
    """Try again in a moment."""
    response = HttpResponse(render_to_string("503.html"), status=503)
    response["Retry-After"] = str(RETRY_AFTER)
    return response
