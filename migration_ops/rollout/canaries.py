"""Canaries by name: users and groups in the flag that is named like the migration.

A user's own unit is the text of the user's primary key.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from migration_ops.definition import AnyMigration
from migration_ops.models import Flag

USER = "user"
GROUP = "group"


def named(migration: AnyMigration, unit: str) -> str | None:
    """`USER` or `GROUP` if the flag names this unit's user or a group of theirs, else None."""
    key = _primary_key(unit)
    if key is None:
        return None
    flag = Flag.objects.filter(name=migration.name)
    if flag.filter(users=key).exists():
        return USER
    return GROUP if flag.filter(groups__in=_groups(key)).exists() else None


def _primary_key(unit: str) -> Any:
    """The unit as a user's primary key; None where it cannot be one."""
    try:
        return get_user_model()._meta.pk.to_python(unit)
    except (ValidationError, ValueError):
        return None


def _groups(key: Any) -> Any:
    return get_user_model()._default_manager.filter(pk=key).values("groups")
