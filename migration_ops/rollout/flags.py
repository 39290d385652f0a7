"""How django-waffle's flags answer: `waffle.flag_is_active`, its decorators, mixins and template tags."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from migration_ops import registry
from migration_ops.definition import Side
from migration_ops.models import Flag
from migration_ops.rollout import buckets, routing


def is_active(flag: Flag, request: HttpRequest) -> bool:
    """Whether this flag is active for the one who asks.

    The face of a migration says where that user's reads go. A feature flag is off unless it is kept, obeys `everyone`,
    then names users by what they are, and decides its percentage by the user's bucket; nobody who is not logged in has
    one. Query strings, headers and cookies decide nothing.
    """
    user: Any = getattr(request, "user", None)
    known = user is not None and user.is_authenticated
    migration = next((each for each in registry.all_migrations() if each.name == flag.name), None)
    if migration is not None:
        return known and routing.of_unit(migration, str(user.pk)).side is Side.MODERN
    if flag.pk is None:
        return False
    if flag.everyone is not None:
        return flag.everyone
    return (known and _is_meant(flag, user)) or _speaks(flag, request)


def _is_meant(flag: Flag, user: Any) -> bool:
    return (
        flag.authenticated
        or (flag.staff and user.is_staff)
        or (flag.superusers and user.is_superuser)
        or (flag.percent is not None and buckets.is_within(flag.percent, flag.name, str(user.pk)))
        or flag.users.filter(pk=user.pk).exists()
        or flag.groups.filter(pk__in=user.groups.values("pk")).exists()
    )


def _speaks(flag: Flag, request: HttpRequest) -> bool:
    languages = [language.strip() for language in flag.languages.split(",") if language.strip()]
    return getattr(request, "LANGUAGE_CODE", None) in languages
