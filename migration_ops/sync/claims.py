"""Notices of the dirty list as the applier works them off: claimed for one transaction, then taken off or deferred."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from django.db import connection

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side

_NOTED = """
SELECT clock_timestamp()
 WHERE EXISTS (SELECT FROM migration_ops_dirtykey
                WHERE migration = %s AND (not_before IS NULL OR not_before <= %s))
"""

_IS_DUE = """
SELECT true FROM migration_ops_dirtykey
 WHERE migration = %s AND created_at <= %s AND (not_before IS NULL OR not_before <= %s) LIMIT 1
"""

_CLAIM = """
SELECT id, side, row, key FROM migration_ops_dirtykey
 WHERE migration = %s AND created_at <= %s AND (not_before IS NULL OR not_before <= %s)
 ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""

_CLAIM_THESE = """
SELECT id, side, row, key FROM migration_ops_dirtykey
 WHERE migration = %s AND id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED
"""

_DONE = """
DELETE FROM migration_ops_dirtykey WHERE id = ANY(%s)
RETURNING extract(epoch FROM clock_timestamp() - created_at) * 1000, not_before IS DISTINCT FROM created_at
"""

_DEFER = """
UPDATE migration_ops_dirtykey
   SET attempts = attempts + 1, sqlstate = %s, error = %s,
       not_before = clock_timestamp() + least(%s * power(2, least(attempts, 30)), %s) * interval '1 second'
 WHERE id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Notice:
    """One entry of the list: something of this legacy row, or of this encoded key, changed on `side`."""

    id: int
    side: Side
    row: str | None
    key: str | None


def noted(migration: AnyMigration, *, due: datetime) -> datetime | None:
    """The moment up to which notices are there to `claim`, be they taken by somebody or not; None if there are none."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTED, [migration.name, due])
        found = cursor.fetchone()
    return found[0] if found else None


def is_due(migration: AnyMigration, *, noted: datetime, due: datetime) -> bool:
    """Whether there is anything to `claim`, be it taken by somebody or not."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_DUE, [migration.name, noted, due])
        return cursor.fetchone() is not None


def claim(migration: AnyMigration, limit: int, *, noted: datetime, due: datetime) -> list[Notice]:
    """Take the oldest notices that nobody else has taken, until the end of the transaction.

    Args:
        limit: at most so many.
        noted: notices that were written later are left alone.
        due: notices that back off beyond this moment are left alone.
    """
    return _claimed(_CLAIM, [migration.name, noted, due, limit])


def claim_these(migration: AnyMigration, ids: Collection[int]) -> list[Notice]:
    """Take those of these notices that are still there and that nobody else has taken."""
    return _claimed(_CLAIM_THESE, [migration.name, list(ids)])


def _claimed(sql: str, parameters: list[Any]) -> list[Notice]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [Notice(notice, Side(side), row, key) for notice, side, row, key in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Done:
    """Notices taken off.

    Attributes:
        ages: how old each change was, in milliseconds, at the moment `at` of this process's monotonic clock; requests
            to look again are left out.
    """

    ages: tuple[float, ...]
    at: float

    def lags(self) -> list[float]:
        """Milliseconds from change to now; ask right after the commit."""
        since = (monotonic() - self.at) * 1000
        return [age + since for age in self.ages]


def done(notices: Collection[Notice]) -> Done:
    """Take exactly these notices off the list; whatever was added meanwhile stays."""
    with connection.cursor() as cursor:
        cursor.execute(_DONE, [[notice.id for notice in notices]])
        return Done(tuple(float(age) for age, is_change in cursor.fetchall() if is_change), monotonic())


def defer(notices: Collection[Notice], *, sqlstate: str, error: str) -> None:
    """Keep these notices for later: one more attempt counted, the next one exponentially later, with the reason."""
    limits = settings()
    first, longest = limits.sync_retry_first_delay.total_seconds(), limits.sync_retry_longest_delay.total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(_DEFER, [sqlstate, error.replace("\x00", ""), first, longest, [notice.id for notice in notices]])
