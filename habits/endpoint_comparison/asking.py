"""One request to the API in this process, answered from a given store."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.core.handlers.wsgi import WSGIRequest
from django.db import transaction
from django.urls import resolve

from habits import rate_limit
from habits.endpoint_comparison.calls import Call
from habits.models import User
from migration_ops.definition import Side
from migration_ops.rollout.pinning import pinned

HEADERS = ("Content-Type", "ETag", "Cache-Control")
"""What a client goes by, beside the status and the content."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        headers: those of `HEADERS` that there are.
        served: the store that the answer says it is from, "" where it does not.
        seconds: how long it took.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    served: str
    seconds: float


def ask(user: User, call: Call, side: Side) -> Answer:
    """The answer that this family gets from this store, in the caller's transaction; one that fails does not end it.

    The view is called as the handler would call it, without the middleware, which knows no store: what that takes is
    the same for both, and a session would have to be written.
    """
    request = _request(call)
    request.user = user
    request.resolver_match = match = resolve(request.path_info)
    with pinned(side), rate_limit.uncounted(), transaction.atomic():
        begun = time.perf_counter()
        response = match.func(request, *match.args, **match.kwargs)
        seconds = time.perf_counter() - begun
        if response.status_code >= 500:
            transaction.set_rollback(True)
    headers = {name: response[name] for name in HEADERS if name in response}
    return Answer(response.status_code, headers, response.content, response.get("X-Served-From", ""), seconds)


def _request(call: Call) -> WSGIRequest:
    """As a server makes it: PEP 3333 has the bytes of an address as if they were Latin-1."""
    return WSGIRequest(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": call.path.encode().decode("latin-1"),
            "QUERY_STRING": call.query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
        }
    )
