"""Up to which transaction everything was compared.

PostgreSQL writes into every row the transaction that made it (`xmin`). That is a record of what was touched which
costs no writer anything, and which nobody can bypass: https://www.postgresql.org/docs/current/ddl-system-columns.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from migration_ops.definition import AnyMigration
from migration_ops.sync import capture

_NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"

# A row that a dump was restored into has another transaction than it says. Transactions are compared by 32 bits, so
# what is two thousand million of them ago cannot be told from what is to come.
_SINCE = """
SELECT seen, lost, at FROM migration_ops_comparedupto
 WHERE migration = %s AND xmin = (written %% 4294967296)::text::xid
   AND pg_snapshot_xmax(pg_current_snapshot())::text::bigint - seen BETWEEN 0 AND 2000000000
"""

_KEEP = """
INSERT INTO migration_ops_comparedupto AS known (migration, seen, written, lost, at)
VALUES (%s, %s, pg_current_xact_id()::text::bigint, %s, %s)
ON CONFLICT (migration) DO UPDATE
   SET seen = excluded.seen, written = excluded.written, lost = excluded.lost, at = excluded.at
 WHERE known.seen < excluded.seen OR known.xmin <> (known.written %% 4294967296)::text::xid
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in the life of the database.

    Attributes:
        seen: every transaction before this one had ended; what it and later ones wrote is to be compared next time.
        lost: captures that were lost until then.
    """

    seen: int
    lost: int


@dataclass(frozen=True, slots=True)
class Since:
    """The mark of the last comparison, and when it began."""

    mark: Mark
    at: datetime


def now() -> Mark:
    """The mark of a comparison that begins now; to be asked before anything is read."""
    lost = capture.lost_total()
    with connection.cursor() as cursor:
        cursor.execute(_NOW)
        return Mark(int(cursor.fetchone()[0]), lost)


def since(migration: AnyMigration) -> Since | None:
    """The mark that was kept last; None if there is none, or none that means anything in this database."""
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, [migration.name])
        found = cursor.fetchone()
    return Since(Mark(found[0], found[1]), found[2]) if found else None


def keep(migration: AnyMigration, mark: Mark, *, at: datetime) -> None:
    """Everything that was written before this mark was compared; an older one than is known changes nothing.

    To be called in a transaction and not in a savepoint, whose rows say that another transaction wrote them.
    """
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [migration.name, mark.seen, mark.lost, at])
