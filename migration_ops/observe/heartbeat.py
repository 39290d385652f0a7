"""Processes that work in the background say that they are alive, so that silence is not taken for peace."""

from __future__ import annotations

import os
import socket
from enum import StrEnum

from django.db import connection

from migration_ops.definition import AnyMigration

_BEAT = """
INSERT INTO migration_ops_heartbeat AS known (migration, role, process, at, detail)
VALUES (%s, %s, %s, clock_timestamp(), '{}')
ON CONFLICT (migration, role, process) DO UPDATE SET at = excluded.at
"""

_AGE = """
SELECT extract(epoch FROM clock_timestamp() - max(at))::float
  FROM migration_ops_heartbeat WHERE migration = %s AND role = %s
"""


class Role(StrEnum):
    """What a process is there for."""

    APPLIER = "applier"
    """Carries changes over: `sync_changes --follow`."""

    EVALUATOR = "evaluator"
    """Evaluates the gates, and goes back by itself where one clearly fails."""


def beat(migration: AnyMigration, role: Role) -> None:
    """Say that this process has just done its work; a caller's transaction says so when it commits."""
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, [migration.name, role.value, f"{socket.gethostname()}:{os.getpid()}"[:200]])


def age(migration: AnyMigration, role: Role) -> float | None:
    """Seconds since any process with this role last said that it is alive; None if none ever did."""
    with connection.cursor() as cursor:
        cursor.execute(_AGE, [migration.name, role.value])
        (seconds,) = cursor.fetchone()
    return None if seconds is None else max(0.0, float(seconds))
