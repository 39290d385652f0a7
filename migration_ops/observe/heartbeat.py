"""Processes say that they are alive, so that silence is not taken for peace."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.db import connection

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration

_BEAT = """
INSERT INTO migration_ops_heartbeat AS known (migration, role, process, at, detail)
VALUES (%s, %s, %s, clock_timestamp(), %s)
ON CONFLICT (migration, role, process) DO UPDATE SET at = excluded.at, detail = excluded.detail
"""

_AGE = """
SELECT extract(epoch FROM clock_timestamp() - max(at))::float
  FROM migration_ops_heartbeat WHERE migration = %s AND role = %s
"""

BEATS = 3
"""So many heartbeats in a row may be missing before a process is taken for dead."""


class Role(StrEnum):
    """What a process is there for."""

    APPLIER = "applier"
    """Carries changes over: `sync_changes --follow`."""

    EVALUATOR = "evaluator"
    """Evaluates the gates, and goes back by itself where one clearly fails."""

    SCHEDULER = "scheduler"
    """Does what is due, and revives runs that nobody works on any more."""

    WEB = "web"
    """Answers families and staff."""

    WORKER = "worker"
    """Does what waits in the queue."""


def process_name() -> str:
    """This process, as its heartbeats name it: the machine and the process id."""
    return f"{socket.gethostname()}:{os.getpid()}"[:200]


def beat(migration: AnyMigration, role: Role, detail: Mapping[str, Any] | None = None) -> None:
    """Say that this process has just done its work; a caller's transaction says so when it commits.

    Args:
        detail: what else there is to know of it, as JSON.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, [migration.name, role.value, process_name(), json.dumps(dict(detail or {}))])


def age(migration: AnyMigration, role: Role) -> float | None:
    """Seconds since any process with this role last said that it is alive; None if none ever did."""
    with connection.cursor() as cursor:
        cursor.execute(_AGE, [migration.name, role.value])
        (seconds,) = cursor.fetchone()
    return None if seconds is None else max(0.0, float(seconds))


def longest_silence(role: Role) -> timedelta:
    """After how long without a word a process with this role is taken for dead."""
    every = {
        Role.APPLIER: max(settings().sync_heartbeat, settings().sync_poll),
        Role.EVALUATOR: settings().evaluate_interval,
        Role.SCHEDULER: settings().scheduler_interval,
    }.get(role, settings().metrics_flush)
    return every * BEATS
