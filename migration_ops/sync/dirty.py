"""The list of what may be out of step: adding to it, claiming from it, and taking off what was done."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.db import connection

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.sync import autonomous

CHANNEL = "migration_ops_dirty"
"""PostgreSQL channel on which whoever adds to the list calls the applier; the payload is the migration's name,
or names a heartbeat of the applier itself."""

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

_CARRY_OVER = """
INSERT INTO migration_ops_dirtykey (migration, side, key, created_at)
SELECT %s, %s, key, clock_timestamp() FROM unnest(%s::text[]) AS key
"""

_LOOK_AGAIN = """
INSERT INTO migration_ops_dirtykey (migration, side, row, created_at, not_before)
SELECT %s, %s, row, at, at FROM (SELECT clock_timestamp() AS at) AS now, unnest(%s::text[]) AS row
"""
"""Due as soon as it was made, which a change never is: nobody waits for a request of our own to arrive."""

_MARK_FOR_GOOD = """
INSERT INTO migration_ops_dirtykey (migration, side, key, created_at, not_before)
VALUES (%s, %s, %s, clock_timestamp(), clock_timestamp() + %s) RETURNING id
"""

_NOTED = """
SELECT clock_timestamp()
 WHERE EXISTS (SELECT FROM migration_ops_dirtykey
                WHERE migration = %s AND (not_before IS NULL OR not_before <= %s))
"""

# By key, as the list names it or as the lineage has the row it names; taken or not. A user's write waits for this, and
# usually the list names no row at all: to see that takes half as long as to plan a join for nothing.
_NAMING_KEYS = """
(SELECT id, key, side FROM migration_ops_dirtykey
  WHERE migration = %(migration)s AND row IS NULL AND key = ANY(%(keys)s))
 UNION ALL
(SELECT NULL, NULL, NULL FROM migration_ops_dirtykey WHERE migration = %(migration)s AND row IS NOT NULL LIMIT 1)
"""

_A_ROW = (None, None, None)
"""Stands for all notices that name a row."""

_NAMING_THEIR_ROWS = """
SELECT dirty.id, lineage.key, dirty.side FROM migration_ops_dirtykey AS dirty
  JOIN migration_ops_lineage AS lineage
    ON lineage.migration = dirty.migration AND lineage.source = '' AND lineage.row = dirty.row
 WHERE dirty.migration = %(migration)s AND lineage.key = ANY(%(keys)s)
"""

_EXCEPTIONAL = """
SELECT key FROM migration_ops_dirtykey WHERE migration = %(migration)s AND row IS NULL AND key {are_meant}
 UNION
SELECT lineage.key FROM migration_ops_dirtykey AS dirty
  JOIN migration_ops_lineage AS lineage
    ON lineage.migration = dirty.migration AND lineage.source = '' AND lineage.row = dirty.row
 WHERE dirty.migration = %(migration)s AND lineage.key {are_meant}
 UNION
SELECT key FROM migration_ops_quarantineitem
 WHERE migration = %(migration)s AND source = '' AND status = 'open' AND key {are_meant}
"""
_EXCEPTIONAL_OF_PREFIX = _EXCEPTIONAL.format(are_meant="LIKE %(begins)s")
_EXCEPTIONAL_AMONG = _EXCEPTIONAL.format(are_meant="= ANY(%(keys)s)")

_LEFT_BEHIND = """
SELECT DISTINCT key FROM migration_ops_quarantineitem
 WHERE migration = %s AND source = '' AND status = 'accepted' AND key LIKE %s
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


def mark_rows(migration: AnyMigration, rows: Collection[str]) -> None:
    """Ask for these legacy rows to be looked at again. Takes effect when the caller's transaction commits.

    This is no change past the app, and how soon it is worked off says nothing about those.
    """
    _mark(migration, _LOOK_AGAIN, Side.LEGACY, list(dict.fromkeys(rows)))


def mark_keys(migration: AnyMigration, keys: Collection[Any], *, side: Side) -> None:
    """Ask for the documents of these keys to be carried over from `side`, where they changed."""
    _mark(migration, _CARRY_OVER, side, list(dict.fromkeys(migration.encode_key(key) for key in keys)))


def _mark(migration: AnyMigration, sql: str, side: Side, values: list[str]) -> None:
    """The list speaks of the two stores that are kept in step; a file beside them is only read when somebody asks."""
    if not values or migration.rows_from:
        return
    with connection.cursor() as cursor:
        cursor.execute(sql, [migration.name, side.value, values])
    call(migration)


def call(migration: AnyMigration) -> None:
    """Call the applier when the caller's transaction commits: there is something on the list."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, migration.name])


def mark_for_good(migration: AnyMigration, key: Any, *, side: Side, not_before: timedelta) -> int:
    """Put this key on the list in a transaction of its own, whatever becomes of the caller's; the notice's id.

    Args:
        not_before: how long the applier leaves it alone, for the caller to finish and `withdraw` it.
    """
    ((notice,),) = autonomous.execute(
        _MARK_FOR_GOOD, [migration.name, side.value, migration.encode_key(key), not_before]
    )
    return int(notice)


def withdraw(notice: int) -> None:
    """Take a notice off the list with the commit of the caller's transaction: what it spoke of is done."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM migration_ops_dirtykey WHERE id = %s", [notice])


def of_keys(migration: AnyMigration, keys: Collection[Any]) -> list[int]:
    """Ids of the notices that name one of these keys."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM migration_ops_dirtykey WHERE migration = %s AND row IS NULL AND key = ANY(%s)",
            [migration.name, [migration.encode_key(key) for key in keys]],
        )
        return [notice for (notice,) in cursor.fetchall()]


def naming(migration: AnyMigration, rows: Collection[str]) -> set[int]:
    """Ids of the notices, taken by somebody or not, that name one of these legacy rows."""
    if not rows:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM migration_ops_dirtykey WHERE migration = %s AND row = ANY(%s)",
            [migration.name, list(rows)],
        )
        return {notice for (notice,) in cursor.fetchall()}


def remaining(migration: AnyMigration) -> int:
    """How many notices wait, those that failed and back off included."""
    return _count("SELECT count(*) FROM migration_ops_dirtykey WHERE migration = %s", migration.name)


def now() -> datetime:
    """The server's clock, by which notices are made and deferred."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


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


def retry_now(migration: AnyMigration) -> None:
    """Make notices that back off after an error due at once, but those somebody works on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE migration_ops_dirtykey SET not_before = NULL WHERE id IN ("
            "SELECT id FROM migration_ops_dirtykey WHERE migration = %s AND not_before > created_at"
            " FOR UPDATE SKIP LOCKED)",
            [migration.name],
        )


def failing(migration: AnyMigration) -> int:
    """How many notices are on the list although they were tried."""
    return _count("SELECT count(*) FROM migration_ops_dirtykey WHERE migration = %s AND attempts > 0", migration.name)


def noted(migration: AnyMigration, *, due: datetime) -> datetime | None:
    """The moment up to which notices are there to `claim`, be they taken by somebody or not; None if there are none."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTED, [migration.name, due])
        found = cursor.fetchone()
    return found[0] if found else None


def is_due(migration: AnyMigration, *, noted: datetime, due: datetime) -> bool:
    """Whether there is anything to `claim`, be it taken by somebody or not."""
    return bool(
        _count(
            "SELECT count(*) FROM (SELECT FROM migration_ops_dirtykey"
            " WHERE migration = %s AND created_at <= %s AND (not_before IS NULL OR not_before <= %s) LIMIT 1)"
            " AS first",
            migration.name,
            noted,
            due,
        )
    )


def _count(sql: str, *parameters: str | datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.fetchone()[0])


def speaking_of(migration: AnyMigration, keys: Collection[str]) -> list[tuple[int, str, Side]]:
    """Id, encoded key and side of every notice that speaks of one of these keys, taken by somebody or not."""
    asked: dict[str, Any] = {"migration": migration.name, "keys": list(keys)}
    with connection.cursor() as cursor:
        cursor.execute(_NAMING_KEYS, asked)
        found = cursor.fetchall()
        if _A_ROW in found:
            found.remove(_A_ROW)
            cursor.execute(_NAMING_THEIR_ROWS, asked)
            found += cursor.fetchall()
    return [(notice, key, Side(side)) for notice, key, side in found]


def sides(migration: AnyMigration, keys: Collection[str]) -> set[tuple[str, Side]]:
    """On which sides, says the list, these encoded keys changed; notices that somebody has taken count too."""
    return {(key, side) for _, key, side in speaking_of(migration, keys)}


def exceptional(migration: AnyMigration, prefix: str) -> set[str]:
    """Encoded keys with this beginning that are on the list, or of which a row waits in quarantine."""
    with connection.cursor() as cursor:
        cursor.execute(_EXCEPTIONAL_OF_PREFIX, {"migration": migration.name, "begins": _begins(prefix)})
        return {key for (key,) in cursor.fetchall()}


def left_behind(migration: AnyMigration, prefix: str) -> set[str]:
    """Encoded keys with this beginning of which somebody accepted that a row is not represented."""
    with connection.cursor() as cursor:
        cursor.execute(_LEFT_BEHIND, [migration.name, _begins(prefix)])
        return {key for (key,) in cursor.fetchall()}


def _begins(prefix: str) -> str:
    return prefix.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"


def exceptional_among(migration: AnyMigration, keys: Collection[str]) -> set[str]:
    """Those of these encoded keys that are on the list, or of which a row waits in quarantine."""
    with connection.cursor() as cursor:
        cursor.execute(_EXCEPTIONAL_AMONG, {"migration": migration.name, "keys": list(keys)})
        return {key for (key,) in cursor.fetchall()}


def pending(migration: AnyMigration, side: Side, keys: Collection[str]) -> set[str]:
    """Those of these encoded keys of which the list says, taken or not, that they changed on this side."""
    return {key for key, changed in sides(migration, keys) if changed is side}


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
