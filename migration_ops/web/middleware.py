"""Tells the rollout who asks, so that one request is decided once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponseBase

from migration_ops.definition import Side
from migration_ops.rollout.visitor import Visitor, asking

COOKIE_AGE = timedelta(days=30)

_SALT = "migration_ops.canary"


class RolloutMiddleware:
    """Put it below the authentication middleware: whether somebody is staff decides what a header is worth."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with asking(_visitor(request)):
            return self._get_response(request)


def signed(request: HttpRequest, side: Side) -> str:
    """The value of a canary cookie that asks for this store, good for the user of this request alone."""
    return signing.dumps([_user(request), side.value], salt=_SALT)


def _visitor(request: HttpRequest) -> Visitor:
    return Visitor(
        header=lambda name: request.headers.get(name),
        cookie=lambda name: _asked_by_cookie(request, name),
        is_staff=lambda: _is_staff(request),
    )


def _is_staff(request: HttpRequest) -> bool:
    user: Any = getattr(request, "user", None)
    return bool(user is not None and user.is_authenticated and user.is_active and user.is_staff)


def _user(request: HttpRequest) -> str:
    user: Any = getattr(request, "user", None)
    return "" if user is None or not user.is_authenticated else str(user.pk)


def _asked_by_cookie(request: HttpRequest, name: str) -> str | None:
    """The store the cookie names: signed by us for this very user, or in plain words from staff."""
    said = request.COOKIES.get(name)
    if said is None:
        return None
    try:
        user, side = signing.loads(said, salt=_SALT, max_age=COOKIE_AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return said if _is_staff(request) else None
    return str(side) if user and user == _user(request) else None
