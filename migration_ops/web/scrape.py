"""`/metrics`, for Prometheus."""

from __future__ import annotations

import logging

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from migration_ops import registry
from migration_ops.exposition import text
from migration_ops.web import scrape_guard

logger = logging.getLogger(__name__)


@csrf_exempt  # it changes nothing: what is posted here is told which methods there are, not that a token is missing
@cache_control(no_store=True)
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Every migration in numbers, for those whom `scrape_guard` lets in; 503 while the database does not answer."""
    refused = scrape_guard.refusal(request)
    if refused is not None:
        response = _sentence(refused.sentence, refused.status)
        if refused.challenge:
            response["WWW-Authenticate"] = refused.challenge
        return response
    try:
        content = text.exposition(registry.all_migrations())
    except Error:
        logger.exception("The metrics could not be read.")
        return _sentence("The database does not answer, or not in time. The log says why.", 503)
    return HttpResponse(content, content_type=text.CONTENT_TYPE)


def _sentence(said: str, status: int) -> HttpResponse:
    return HttpResponse(f"{said}\n", status=status, content_type="text/plain; charset=utf-8")
