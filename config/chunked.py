"""Requests that come in chunks, without saying how long they are."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from habits.too_much import throw_away


class Measured:
    """Reads chunked content and says how long it is, for Django takes a request without a length for an empty one.

    Of content beyond `most` bytes one byte more is kept, which is enough for those who refuse it.
    """

    def __init__(self, application: WSGIApplication, *, most: int) -> None:
        self._application = application
        self._most = most

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower() and not environ.get("CONTENT_LENGTH"):
            content = environ["wsgi.input"].read(self._most + 1)
            if len(content) > self._most:
                throw_away(environ["wsgi.input"])
            environ["wsgi.input"] = BytesIO(content)
            environ["CONTENT_LENGTH"] = str(len(content))
        return self._application(environ, start_response)
