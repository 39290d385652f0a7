"""The list of what may be out of step: how something comes onto it, and what it says of keys.

How the applier works it off is in `claims`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from migration_ops.definition import AnyMigration, Side
from migration_ops.sync import autonomous

CHANNEL = "migration_ops_dirty"
"""PostgreSQL channel on which whoever adds to the list calls the applier; the payload is the migration's name,
or names a heartbeat of the applier itself."""

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


def retry_now(migration: AnyMigration) -> None:
    """Make notices that back off after an error due at once, but those somebody works on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE migration_ops_dirtykey SET not_before = NULL WHERE id IN ("
            "SELECT id FROM migration_ops_dirtykey WHERE migration = %s AND not_before > created_at"
            " FOR UPDATE SKIP LOCKED)",
            [migration.name],
        )


def remaining(migration: AnyMigration) -> int:
    """How many notices wait, those that failed and back off included."""
    return _count("SELECT count(*) FROM migration_ops_dirtykey WHERE migration = %s", migration.name)


def failing(migration: AnyMigration) -> int:
    """How many notices are on the list although they were tried."""
    return _count("SELECT count(*) FROM migration_ops_dirtykey WHERE migration = %s AND attempts > 0", migration.name)


def _count(sql: str, *parameters: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.fetchone()[0])


def now() -> datetime:
    """The server's clock, by which notices are made and deferred."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


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
