"""Puts rows into quarantine, and takes them out when there is no reason any more; nobody decides anything here.

As `bookkeeping`, inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connection

from migration_ops.definition import AnyMigration, Rejection
from migration_ops.sync.json_list import json_list

# An acceptance holds while the row stays as it was; whatever else changes opens the item again.
_QUARANTINE = """
INSERT INTO migration_ops_quarantineitem AS known
       (migration, source, row, key, code, message, held_by, raw, fingerprint, status, found_at, decided_by, reason)
SELECT %s, %s, row, key, code, message, held_by, raw, fingerprint, 'open', now(), '', ''
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
       AS said (row, key, code, message, held_by, raw, fingerprint)
ON CONFLICT (migration, source, row) DO UPDATE
   SET key = excluded.key, code = excluded.code, message = excluded.message, held_by = excluded.held_by,
       raw = excluded.raw, fingerprint = excluded.fingerprint, status = 'open', refused = false, found_at = now(),
       decided_at = NULL, decided_by = '', reason = ''
 WHERE known.status = 'resolved'
    OR (known.status = 'accepted' AND known.fingerprint <> excluded.fingerprint)
    OR (known.status = 'open'
        AND (known.key, known.code, known.message, known.held_by, known.raw, known.fingerprint)
            IS DISTINCT FROM (excluded.key, excluded.code, excluded.message, excluded.held_by, excluded.raw,
                              excluded.fingerprint))
"""

_RESOLVE = """
UPDATE migration_ops_quarantineitem
   SET status = 'resolved', decided_at = now(), reason = %s
 WHERE migration = %s AND source = %s AND row = ANY(ARRAY(SELECT json_array_elements_text(%s)))
   AND status <> 'resolved'
"""

_REFUSED = """
UPDATE migration_ops_quarantineitem SET refused = true
 WHERE migration = %s AND source = %s AND row = ANY(%s) AND NOT refused
"""

_REOPEN = """
UPDATE migration_ops_quarantineitem
   SET status = 'open', decided_at = NULL, decided_by = '', reason = ''
 WHERE migration = %s AND source = %s AND row = ANY(%s) AND status = 'accepted'
"""

_WRITTEN = """
WITH written AS (
    UPDATE migration_ops_quarantineitem
       SET status = 'resolved', decided_at = now(), reason = 'The modern database no longer refuses it.'
     WHERE migration = %(migration)s AND source = %(source)s AND refused AND status <> 'resolved'
       AND key = ANY(ARRAY(SELECT json_array_elements_text(%(keys)s)))
    RETURNING row, key
)
UPDATE migration_ops_lineage AS known SET code = NULL
  FROM written WHERE known.migration = %(migration)s AND known.source = %(source)s
   AND known.row = written.row AND known.key = written.key
"""


def put_in(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> None:
    """Put these rows into quarantine, or bring what is known of them there up to date."""
    by_row = {rejection.row: rejection for rejection in rejections}
    columns = zip(
        *(
            (
                said.row,
                None if said.key is None else migration.encode_key(said.key),
                said.code,
                storable(said.message),
                said.held_by,
                storable(said.raw),
                said.fingerprint,
            )
            for said in by_row.values()
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(_QUARANTINE, [migration.name, migration.rows_from, *(list(column) for column in columns)])


def take_out(migration: AnyMigration, rows: Collection[str], reason: str) -> None:
    """Nobody has to decide on these rows any more."""
    with connection.cursor() as cursor:
        cursor.execute(_RESOLVE, [reason, migration.name, migration.rows_from, json_list(rows)])


def take_out_written(migration: AnyMigration, keys: Collection[Any]) -> None:
    """Take out what rows of these documents were refused, on whichever page they are: they are written now."""
    encoded = json_list(map(migration.encode_key, keys))
    with connection.cursor() as cursor:
        cursor.execute(_WRITTEN, {"migration": migration.name, "source": migration.rows_from, "keys": encoded})


def mark_refused(migration: AnyMigration, rows: Collection[str]) -> None:
    """These rows are in quarantine because the modern database refuses their document."""
    with connection.cursor() as cursor:
        cursor.execute(_REFUSED, [migration.name, migration.rows_from, list(rows)])


def refused_rows(migration: AnyMigration, rows: Collection[str]) -> dict[str, str]:
    """Fingerprint by row, for those of the rows that are in quarantine because the modern database refused them."""
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row, fingerprint FROM migration_ops_quarantineitem WHERE migration = %s AND source = %s AND refused"
            " AND status <> 'resolved' AND row = ANY(ARRAY(SELECT json_array_elements_text(%s)))",
            [migration.name, migration.rows_from, json_list(rows)],
        )
        return dict(cursor.fetchall())


def reopen(migration: AnyMigration, rows: Collection[str]) -> None:
    """What a person accepted of these rows waits for a person again."""
    with connection.cursor() as cursor:
        cursor.execute(_REOPEN, [migration.name, migration.rows_from, list(rows)])


def accepted_rows(migration_name: str, rows: Collection[str], *, source: str = "") -> dict[str, str]:
    """Content fingerprint by row, for those of the rows that a person accepted to stay behind.

    Args:
        source: the real path of the file whose rows they are; "" for the legacy store.
    """
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row, fingerprint FROM migration_ops_quarantineitem"
            " WHERE migration = %s AND source = %s AND row = ANY(%s) AND status = 'accepted'",
            [migration_name, source, list(rows)],
        )
        return dict(cursor.fetchall())


def storable(text: str) -> str:
    """PostgreSQL text has no NUL and no lone surrogate; a rejected row may, and is shown with escapes."""
    return text.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode("utf-8")
