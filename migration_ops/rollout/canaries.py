"""Canaries by name: users and groups in the flag that is named like the migration.

A user's own unit is the text of the user's primary key. Who joins a group that is named becomes a canary by that, as
long as there are not more people than may be; from then on no group counts, until somebody leaves or is named no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q

from migration_ops import state
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused
from migration_ops.models import Flag
from migration_ops.sentence import said
from migration_ops.state import State

USER = "user"
GROUP = "group"


def most(people: int) -> int:
    """How many of so many people can be canaries by name."""
    given = settings()
    return max(given.canary_people_least, people * given.canary_share_most // 100)


def too_many(now: State) -> bool:
    """Whether more people are named than may be: then no group counts."""
    return now.named_people > most(now.people)


def refuse_too_many(migration: AnyMigration, users: Iterable[Any], groups: Iterable[Any]) -> None:
    """More people cannot be named than may be, those who are already included.

    Raises:
        Refused: there would be.
    """
    flag = Flag.objects.filter(name=migration.name)
    everybody = get_user_model()._default_manager.all()
    by_name = Q(pk__in=[user.pk for user in users]) | Q(pk__in=flag.exclude(users=None).values("users"))
    by_group = Q(groups__in=list(groups)) | Q(groups__in=flag.exclude(groups=None).values("groups"))
    named_people = everybody.filter(by_name | by_group).values("pk").distinct().count()
    limit = most(everybody.count())
    if named_people > limit:
        raise Refused(
            said(
                "%(people)s people would be canaries by name, and at most %(most)s can be; `rollout set` follows the"
                " plan.",
                people=str(named_people),
                most=str(limit),
            )
        )


def named(migration: AnyMigration, unit: str) -> str | None:
    """`USER` or `GROUP` if the flag names this unit's user or a group of theirs that counts, else None."""
    key = _primary_key(unit)
    if key is None:
        return None
    flag = Flag.objects.filter(name=migration.name)
    if flag.filter(users=key).exists():
        return USER
    if too_many(state.read(migration)):
        return None
    return GROUP if flag.filter(groups__in=_groups(key)).exists() else None


def _primary_key(unit: str) -> Any:
    """The unit as a user's primary key; None where it cannot be one."""
    try:
        return get_user_model()._meta.pk.to_python(unit)
    except (ValidationError, ValueError):
        return None


def _groups(key: Any) -> Any:
    return get_user_model()._default_manager.filter(pk=key).values("groups")
