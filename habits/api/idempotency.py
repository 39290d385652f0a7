"""Every change is sent with a key, and however often it arrives, it is made once and answered with the same bytes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from hashlib import blake2b
from typing import Any, Concatenate, ParamSpec, cast

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from habits import idempotency
from habits.api import problems
from habits.api.errors import problem_of
from habits.api.problems import ProblemRaised
from habits.family import Changed, NoSuchBoard
from habits.idempotency import Answer, Scope, StillAnswering, UsedForAnother
from habits.models import User
from habits.notifications import NoSuchNotification
from habits.templates import NoSuchTemplate, WouldOverwrite
from migration_ops.failpoints import failpoint, label

HEADERS = ("Idempotency-Key", "X-Idempotency-Key")
REPLAYED = "Idempotent-Replayed"
LONGEST_ROUTE = 2_000
"""Bytes. Every address there is has fewer; more would not fit into the index of the answers."""

KEPT_ERRORS = (NoSuchBoard, Changed, NoSuchTemplate, WouldOverwrite, NoSuchNotification)
"""They say how the data was, and so they are answers like any other. All other errors are not kept: nothing was
changed, and the same request may well succeed later."""

ANSWERED = label("api.answered")

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SAID = ("If-Match", "If-None-Match")

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def key_of(request: HttpRequest) -> str:
    """The key of a change.

    Raises:
        ProblemRaised: 400 if there is none, or none that can be.
    """
    given = {request.headers[name] for name in HEADERS if name in request.headers}
    if not given:
        raise ProblemRaised(problems.KEY_MISSING)
    if len(given) > 1:
        raise ProblemRaised(problems.KEYS_DIFFER)
    key = given.pop()
    if not _KEY.fullmatch(key):
        raise ProblemRaised(problems.KEY_MALFORMED)
    return key


def idempotent(view: View[P]) -> View[P]:
    """Run the view, and whatever it changes, in one transaction with the record of its answer.

    The view has validated its input already; it returns the whole answer, and raises what is to be undone.
    """

    @wraps(view)
    def once(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        scope, said = _scope(request), _fingerprint(request)
        with transaction.atomic():
            try:
                known = idempotency.claim(scope, said)
            except StillAnswering:
                raise ProblemRaised(problems.KEY_IN_USE) from None
            except UsedForAnother:
                raise ProblemRaised(problems.KEY_REUSED) from None
            if known is not None:
                return _again(known)
            response = _answered(view, request, *args, **kwargs)
            idempotency.keep(scope, said, Answer(response.status_code, dict(response.headers), response.content))
        failpoint(ANSWERED)
        return response

    # Evaluated here: the framework would look the names of annotations up in this module, not in the view's.
    once.__signature__ = inspect.signature(view, eval_str=True)  # type: ignore[attr-defined]
    return once


def _answered(view: View[P], request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
    try:
        return view(request, *args, **kwargs)
    except KEPT_ERRORS as error:
        raised = problem_of(error)
        return problems.answer(request, raised.problem, raised.findings, raised.headers)


def _again(known: Answer) -> HttpResponse:
    response = HttpResponse(known.body, status=known.status, headers={**known.headers, REPLAYED: "true"})
    if "Content-Type" not in known.headers:
        del response["Content-Type"]
    return response


def _scope(request: HttpRequest) -> Scope:
    route = request.path_info
    if len(route.encode()) > LONGEST_ROUTE or "\x00" in route:
        raise ProblemRaised(problems.NOT_FOUND)
    return Scope(cast("User", request.user).pk, str(request.method), route, key_of(request))


def _fingerprint(request: HttpRequest) -> str:
    """Of all the request says: its content, byte by byte, and what it makes the change depend on."""
    said: Any = [request.META.get("QUERY_STRING", ""), *(request.headers.get(name) for name in _SAID)]
    return blake2b(repr(said).encode() + b"\x00" + request.body, digest_size=32).hexdigest()
