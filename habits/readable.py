"""Addresses that are no text are refused: read as text anyway, they would be those of something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

_NO_TEXT = "habits.address_is_no_text"


class Addresses:
    """Notes of each request whether its address is UTF-8, while the bytes are there: Django writes `%FF` for the byte
    FF, and then nobody can tell it from those three characters, which may be somebody's name."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ.get("PATH_INFO", "").encode("latin-1").decode()
        except UnicodeDecodeError:
            environ[_NO_TEXT] = True
        return self._application(environ, start_response)


class TextOnly:
    """Middleware that answers 400 to what `Addresses` noted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.META.get(_NO_TEXT):
            raise BadRequest("The address is not UTF-8.")
        return self._get_response(request)
