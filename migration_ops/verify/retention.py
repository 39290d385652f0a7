"""Throws away what was found long ago and is settled, and the runs that nobody asks about any more."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from migration_ops.conf import settings

AT_ONCE = 10_000
"""Rows of a table that one call deletes at most, so that it never takes long."""

_DIFFERENCES = """
DELETE FROM migration_ops_difference WHERE id = ANY(ARRAY(
       SELECT id FROM migration_ops_difference
        WHERE status IN ('repaired', 'gone') AND closed_at < clock_timestamp() - %s::interval
        ORDER BY id LIMIT %s))
"""

# Gates ask for the newest validation of everything, whatever became of it, and people for the newest run of each kind.
_RUNS = """
SELECT run.id FROM migration_ops_run AS run
 WHERE run.kind IN ('validation', 'drift', 'rehearsal') AND run.status IN ('succeeded', 'cancelled')
   AND coalesce(run.ended_at, run.started_at) < clock_timestamp() - %s::interval
   AND NOT EXISTS (SELECT FROM migration_ops_difference AS difference WHERE difference.run_id = run.id)
   AND NOT EXISTS (SELECT FROM migration_ops_runrange AS held
                    WHERE held.run_id = run.id AND held.lease_until > clock_timestamp())
   AND EXISTS (SELECT FROM migration_ops_run AS later
                WHERE later.migration = run.migration AND later.kind = run.kind AND later.id > run.id
                  AND later.status = 'succeeded' AND NOT later.options ?| ARRAY['dry_run', 'source']
                  AND (later.kind <> 'validation' OR NOT later.options ? 'sample'))
 ORDER BY run.id LIMIT %s
"""


def purge() -> int:
    """Delete what is older than `difference_retention` and `run_retention`; how many rows. Call it again and again.

    What stands stays, explained or not, with its run; so does the newest run of each kind, and what it rests on.
    """
    limits = settings()
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERENCES, [_interval(limits.difference_retention), AT_ONCE])
        deleted = int(cursor.rowcount)
        cursor.execute(_RUNS, [_interval(limits.run_retention), AT_ONCE])
        old = [run for (run,) in cursor.fetchall()]
        for table in ("migration_ops_touchedkey", "migration_ops_runrange"):
            cursor.execute(f"DELETE FROM {table} WHERE run_id = ANY(%s)", [old])
        cursor.execute("DELETE FROM migration_ops_run WHERE id = ANY(%s)", [old])
        return deleted + int(cursor.rowcount)


def _interval(age: timedelta) -> str:
    return f"{age.total_seconds()} seconds"
