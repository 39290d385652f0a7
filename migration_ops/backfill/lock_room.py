"""How many keys a batch may lock: an advisory lock takes a place in the server's lock table, which is finite."""

from __future__ import annotations

from django.db import connection

SHARE = 0.5
"""Of the lock table for all workers together; the rest is for everybody else."""

# The server's own rule for the table's size: https://www.postgresql.org/docs/current/runtime-config-locks.html
_PLACES = """
SELECT current_setting('max_locks_per_transaction')::int
       * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
"""


def keys_a_batch(workers: int) -> int:
    """Keys that each of so many workers may lock at a time; at least one."""
    with connection.cursor() as cursor:
        cursor.execute(_PLACES)
        return max(1, int(cursor.fetchone()[0] * SHARE) // workers)
