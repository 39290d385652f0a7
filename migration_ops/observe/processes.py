"""The processes that serve families: which sync code each of them runs, and whether it writes to both stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection

from migration_ops.definition import AnyMigration
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.rollout import routing
from migration_ops.sync.version import sync_version

SERVING = (Role.WEB, Role.WORKER)

KEPT = timedelta(hours=1)
"""How long a process that is not heard of any more stays on the list for whoever looks for it."""

_ALIVE = """
SELECT role, process, extract(epoch FROM clock_timestamp() - at)::float,
       coalesce(detail ->> 'sync', ''), coalesce((detail ->> 'dual_write')::boolean, false)
  FROM migration_ops_heartbeat
 WHERE migration = %s AND role = ANY(%s) AND at >= clock_timestamp() - make_interval(secs => %s)
 ORDER BY role, process
"""

_FORGET = "DELETE FROM migration_ops_heartbeat WHERE role = %s AND process = %s"

_PURGE = (
    "DELETE FROM migration_ops_heartbeat WHERE role = ANY(%s) AND at < clock_timestamp() - make_interval(secs => %s)"
)


@dataclass(frozen=True, slots=True)
class Process:
    """A web or worker process that was heard of lately.

    Attributes:
        name: machine and process id.
        age: seconds since it was heard of.
        sync: the version of its sync code.
        dual_writes: whether it writes to the follower where the stage wants it.
    """

    role: Role
    name: str
    age: float
    sync: str
    dual_writes: bool


def say_alive(migration: AnyMigration, role: Role) -> None:
    """Say that this process serves, which sync code it runs, and whether `DUAL_WRITE` lets it write to the follower."""
    heartbeat.beat(migration, role, {"sync": sync_version(), "dual_write": routing.follower_is_written()})


def say_goodbye(role: Role) -> None:
    """Take this process off the list, of every migration: it ends."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [role.value, heartbeat.process_name()])


def alive(migration: AnyMigration) -> Sequence[Process]:
    """Those that were heard of within `heartbeat.longest_silence`."""
    with connection.cursor() as cursor:
        longest = heartbeat.longest_silence(Role.WEB).total_seconds()
        cursor.execute(_ALIVE, [migration.name, [role.value for role in SERVING], longest])
        return [
            Process(Role(role), name, max(0.0, age), sync, dual_writes)
            for role, name, age, sync, dual_writes in cursor.fetchall()
        ]


def purge() -> int:
    """Take those off the list that have not been heard of for `KEPT`; how many."""
    with connection.cursor() as cursor:
        cursor.execute(_PURGE, [[role.value for role in SERVING], KEPT.total_seconds()])
        return int(cursor.rowcount)
