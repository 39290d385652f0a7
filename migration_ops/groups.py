"""Three groups, so that nobody has to collect permissions one by one: who looks, who operates, who vouches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Q

APP = "migration_ops"

STEERING = ("advance", "canary", "hold", "resume", "kill", "unkill", "rollback", "acknowledge")

DECIDING = ("accept", "assign", "retry", "repair")

RUNNING = ("backfill", "validate")

OPERATING = (*STEERING, *DECIDING, *RUNNING)

GROUPS: Mapping[str, tuple[str, ...]] = {
    "migration viewers": (),
    "migration operators": OPERATING,
    "migration approvers": (*OPERATING, "override", "explain"),
}
"""What members of each group may do to a migration; all of them may look at everything of the engine."""


def after_migrate(*, app_config: AppConfig, using: str, **_: Any) -> None:
    """Receiver of `post_migrate`: creates the groups, and gives them what they lack. Takes nothing away, and does
    nothing where the tables are not there (yet, or any more)."""
    tables = {model._meta.db_table for model in (Group, Permission)}
    if using != DEFAULT_DB_ALIAS or not tables <= set(connection.introspection.table_names()):
        return
    create_permissions(app_config, verbosity=0, using=using)  # for the case that `auth` hears of it after us
    for name, verbs in GROUPS.items():
        group, _made = Group.objects.get_or_create(name=name)
        codenames = [f"{verb}_migration" for verb in verbs]
        wanted = Permission.objects.filter(content_type__app_label=APP).filter(
            Q(codename__startswith="view_") | Q(codename__in=codenames)
        )
        group.permissions.add(*wanted.exclude(group=group))
