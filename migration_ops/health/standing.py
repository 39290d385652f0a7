"""What a probe wants to know from the database, over a connection of its own and within milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from migration_ops import registry
from migration_ops.observe.heartbeat import Role
from migration_ops.patience import milliseconds
from migration_ops.stages import SYNCED, Stage

BACKGROUND = (Role.APPLIER, Role.EVALUATOR, Role.SCHEDULER)

STATEMENT = timedelta(seconds=1)
"""How long one statement may take, and how long another machine that has vanished may leave us waiting for a sign."""

_APPLIED = "SELECT app, name FROM django_migrations"

_THERE = "SELECT to_regclass('django_migrations') IS NOT NULL"

_STAGES = "SELECT name, stage FROM migration_ops_migrationstate WHERE name = ANY(%s)"

_AGES = """
SELECT migration, role, extract(epoch FROM clock_timestamp() - max(at))::float
  FROM migration_ops_heartbeat WHERE migration = ANY(%s) AND role = ANY(%s) GROUP BY migration, role
"""

Step = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """The database as this process finds it.

    Attributes:
        unapplied: Django migrations that this code brings and the database does not have.
        needed: the background processes that the stages of the migrations ask for.
        ages: seconds since those were last heard of; of several migrations the longest, None where one never was.
    """

    unapplied: int
    needed: frozenset[Role] = frozenset()
    ages: Mapping[Role, float | None] = field(default_factory=dict)


def look() -> Standing:
    """Ask the database.

    Raises:
        Error: of `django.db`; it does not answer, or not in time.
    """
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    options = {**_GIVING_UP, **own.settings_dict.get("OPTIONS", {})}
    own.settings_dict = {**own.settings_dict, "OPTIONS": options}
    try:
        return _look(own)
    finally:
        own.close()


_GIVING_UP = {
    "connect_timeout": 2,
    "tcp_user_timeout": 3_000,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
"""libpq's words for it. A machine that vanished sends nothing, not even that it is gone."""


def _look(own: BaseDatabaseWrapper) -> Standing:
    with own.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", [milliseconds(STATEMENT)])
        cursor.execute(_THERE)
        (there,) = cursor.fetchone()
        if there:
            cursor.execute(_APPLIED)
        applied = frozenset(cursor.fetchall()) if there else frozenset()
        unapplied = sum(not _is_applied(step, replaced, applied) for step, replaced in _brought())
        names = [migration.name for migration in registry.all_migrations()]
        if unapplied or not names:
            return Standing(unapplied)
        cursor.execute(_STAGES, [names])
        stages = dict.fromkeys(names, Stage.OFF) | {name: Stage(stage) for name, stage in cursor.fetchall()}
        cursor.execute(_AGES, [names, [role.value for role in BACKGROUND]])
        heard = {(name, Role(role)): max(0.0, age) for name, role, age in cursor.fetchall()}
    synced = [name for name, stage in stages.items() if stage in SYNCED]
    wanting = {role: names if role is Role.SCHEDULER else synced for role in BACKGROUND}
    return Standing(
        unapplied=0,
        needed=frozenset(role for role, those in wanting.items() if those),
        ages={role: _longest([heard.get((name, role)) for name in those]) for role, those in wanting.items()},
    )


def _longest(ages: list[float | None]) -> float | None:
    known = [age for age in ages if age is not None]
    return max(known) if known and len(known) == len(ages) else None


@lru_cache(maxsize=1)
def _brought() -> tuple[tuple[Step, tuple[Step, ...]], ...]:
    """The Django migrations of this code, each with those that it replaces. They change with a deploy alone."""
    loader = MigrationLoader(None)
    return tuple((step, tuple(loader.disk_migrations[step].replaces)) for step in loader.graph.nodes)


def _is_applied(step: Step, replaced: tuple[Step, ...], applied: frozenset[Step]) -> bool:
    return step in applied or (bool(replaced) and applied.issuperset(replaced))
