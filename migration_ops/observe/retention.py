"""Throws away what was measured long ago. The history is not measured: it stays."""

from __future__ import annotations

from django.db import connection

from migration_ops.conf import settings
from migration_ops.observe import processes

_AGED = (
    ("migration_ops_metric", "minute"),
    ("migration_ops_gatereading", "at"),
    ("migration_ops_readdifference", "last_seen"),
    ("migration_ops_gateoverride", "expires_at"),
    ("migration_ops_heartbeat", "at"),
)

AT_ONCE = 10_000
"""Rows of a table that one call deletes at most, so that it never takes long."""


def purge() -> int:
    """Delete what is older than `metrics_retention`; how many rows. Call it again and again."""
    deleted = processes.purge()
    with connection.cursor() as cursor:
        for table, column in _AGED:
            cursor.execute(
                f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("
                f"SELECT ctid FROM {table} WHERE {column} < clock_timestamp() - %s::interval LIMIT %s))",
                [f"{settings().metrics_retention.total_seconds()} seconds", AT_ONCE],
            )
            deleted += cursor.rowcount
    return deleted
