"""Who may make a request, and what every request has to bring along: a session, and for a change two tokens."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie
from ninja.utils import check_csrf

from habits import rate_limit
from habits.api import problems
from habits.api.idempotency import key_of
from habits.api.problems import ProblemRaised
from habits.models import User
from habits.stores.legacy_rows import MAX_RECORD_BYTES

LARGEST = MAX_RECORD_BYTES
"""Bytes of a request's content: no week is larger, for no row of legacy may be."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class FamilySession(APIKeyCookie):
    """A session as `/accounts/login/` begins it. Browsers send its cookie with every request, wanted or not, so that a
    change also needs the CSRF token; and it needs an idempotency key, for networks lose answers."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> User:
        """Let the request in, in this order: session, size, CSRF token, rate limit, idempotency key.

        Raises:
            ProblemRaised: 401, 413, 403, 429 or 400.
        """
        if not request.user.is_authenticated:
            raise ProblemRaised(problems.NOT_SIGNED_IN, headers={"WWW-Authenticate": "Session"})
        user = owner(request)
        changes = request.method not in SAFE
        # Read here, for the check of the CSRF token looks into forms, and what it reads nobody can read again.
        if changes and len(request.body) > LARGEST:
            raise ProblemRaised(problems.TOO_LARGE)
        if changes and check_csrf(request) is not None:
            raise ProblemRaised(problems.CSRF_FAILED)
        wait = rate_limit.count(user.pk, rate_limit.Kind.WRITE if changes else rate_limit.Kind.READ)
        if wait:
            raise ProblemRaised(problems.TOO_MANY_REQUESTS, headers={"Retry-After": str(wait)})
        if changes:
            key_of(request)
        return user

    def authenticate(self, request: HttpRequest, key: str | None) -> User:
        return self(request)


def owner(request: HttpRequest) -> User:
    """The family that `FamilySession` let in."""
    return request.user  # type: ignore[return-value]
