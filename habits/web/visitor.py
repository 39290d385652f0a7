"""Who is looking: the family whose account is logged in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Concatenate, ParamSpec, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.cache import never_cache

from habits.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def family_page(view: View[P]) -> View[P]:
    """For families that are logged in, and kept by no cache: the next person at this device is somebody else."""
    return never_cache(login_required(view))


def family(request: HttpRequest) -> User:
    return cast("User", request.user)


def owner(request: HttpRequest) -> UUID:
    """Whose boards these are."""
    return family(request).pk


def today() -> date:
    """The day it is where the families live (`TIME_ZONE`)."""
    return timezone.localdate()
