"""How many requests a family may make in a minute, counted for all web processes together.

The counts are in PostgreSQL, for that is what every process has and what no request can do without: a limit in the
memory of a process is as many limits as there are processes, and one in Redis ends, or ends the web, with Redis. The
table is unlogged: one small statement, nothing on disk to wait for, and after a crash everybody begins at nought.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import connection

_COUNT = """
INSERT INTO request_counts AS known (user_id, kind, minute, requests)
VALUES (%s, %s, date_trunc('minute', clock_timestamp()), 1)
    ON CONFLICT (user_id, kind) DO UPDATE
   SET requests = CASE WHEN known.minute = excluded.minute THEN known.requests + 1 ELSE 1 END,
       minute = excluded.minute
RETURNING requests, ceil(extract(epoch FROM minute + interval '1 minute' - clock_timestamp()))::int
"""


_uncounted: ContextVar[bool] = ContextVar("habits_uncounted", default=False)


class Kind(StrEnum):
    """What is counted apart."""

    READ = "read"
    WRITE = "write"


def limit(kind: Kind) -> int:
    """Requests a minute; 0 for as many as one likes."""
    return int(settings.WRITES_PER_MINUTE if kind is Kind.WRITE else settings.READS_PER_MINUTE)


def count(user: UUID, kind: Kind) -> int:
    """Count one request; for how many seconds the family has to wait with it, 0 if it need not."""
    most = limit(kind)
    if not most or _uncounted.get():
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [user, kind.value])
        requests, seconds = cursor.fetchone()
    return max(1, seconds) if requests > most else 0


@contextmanager
def uncounted() -> Iterator[None]:
    """Within this block nothing is counted and nobody has to wait: the requests are our own and not the family's."""
    token = _uncounted.set(True)
    try:
        yield
    finally:
        _uncounted.reset(token)
