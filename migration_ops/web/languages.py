"""Languages are for people: what machines read is the same whatever language somebody asks for."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

MACHINES = frozenset({"/metrics"})
"""Paths that programs read. Those of probes are answered before anybody asks for a language."""


class PeopleOnly(LocaleMiddleware):
    """Django's middleware for languages, in its place; it leaves what machines read alone."""

    def process_request(self, request: HttpRequest) -> None:
        """Activate the language of whoever asks, and none at all for a machine."""
        if request.path_info in MACHINES:
            # What the thread did before had a language, which would otherwise still be there.
            translation.deactivate_all()
        else:
            super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Say in which language the answer is, where it has one."""
        return response if request.path_info in MACHINES else super().process_response(request, response)
