"""Keeps lineage, quarantine and merges in step with what a legacy store says of its rows.

Every function runs inside the caller's transaction, writes only what differs, and may be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from django.db import connection

from migration_ops.definition import AnyMigration, Batch, Merge, Rejection, Side
from migration_ops.sync import dirty

# Lists travel as JSON: the driver makes an array literal ten times as slowly, string by string. `LIMIT 1` keeps the
# planner, which does not know how short they are, from joining by a scan of the whole lineage. A user waits for this,
# and usually nothing else is known of the rows: it is quicker to look along than to find that out by statements.
_LINEAGE = """
WITH said AS MATERIALIZED (
    SELECT row, key, code, fingerprint
      FROM ROWS FROM (json_array_elements_text(%(rows)s), json_array_elements_text(%(keys)s),
                      json_array_elements_text(%(codes)s), json_array_elements_text(%(fingerprints)s))
           AS lists (row, key, code, fingerprint)
), document AS MATERIALIZED (
    SELECT json_array_elements_text(%(documents)s) AS key
), written AS (
    INSERT INTO migration_ops_lineage AS known (migration, source, row, key, code, fingerprint)
    SELECT %(migration)s, %(source)s, row, key, code, fingerprint FROM said
    ON CONFLICT (migration, source, row) DO UPDATE
       SET key = excluded.key, code = excluded.code, fingerprint = excluded.fingerprint
     WHERE (known.key, known.code, known.fingerprint)
           IS DISTINCT FROM (excluded.key, excluded.code, excluded.fingerprint)
), released AS (
    DELETE FROM migration_ops_importeddocument AS imported USING said
     WHERE %(source)s = '' AND imported.migration = %(migration)s AND imported.key = said.key
)
SELECT ARRAY(SELECT DISTINCT before.key
               FROM said CROSS JOIN LATERAL (
                    SELECT key FROM migration_ops_lineage AS known
                     WHERE known.migration = %(migration)s AND known.source = %(source)s AND known.row = said.row
                     LIMIT 1) AS before
              WHERE before.key IS DISTINCT FROM said.key AND before.key IS NOT NULL),
       EXISTS (SELECT FROM migration_ops_quarantineitem
                WHERE migration = %(migration)s AND source = %(source)s AND status <> 'resolved'
                  AND row = ANY(ARRAY(SELECT row FROM said WHERE code IS NULL))),
       EXISTS (SELECT FROM migration_ops_quarantineitem
                WHERE migration = %(migration)s AND source = %(source)s AND status <> 'resolved' AND refused
                  AND key = ANY(ARRAY(SELECT key FROM document))),
       EXISTS (SELECT FROM migration_ops_mergerecord
                WHERE migration = %(migration)s AND source = %(source)s
                  AND key = ANY(ARRAY(SELECT key FROM document))),
       ARRAY(SELECT row FROM migration_ops_lineage
              WHERE migration = %(migration)s AND source = %(source)s
                AND key = ANY(ARRAY(SELECT json_array_elements_text(%(looked_at)s)))
              EXCEPT SELECT row FROM said)
"""
"""Writes what is said and returns what was known until then (`_Known`): all parts of a statement see the tables as they
were before it. A document of which the legacy store has a row is no longer a file's."""

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

_MERGES = """
INSERT INTO migration_ops_mergerecord AS known (migration, source, key, rows, conflicts, merged_at)
SELECT %s, %s, key, rows, conflicts, now()
  FROM unnest(%s::text[], %s::jsonb[], %s::jsonb[]) AS said (key, rows, conflicts)
ON CONFLICT (migration, source, key) DO UPDATE
   SET rows = excluded.rows, conflicts = excluded.conflicts, merged_at = now()
 WHERE (known.rows, known.conflicts) IS DISTINCT FROM (excluded.rows, excluded.conflicts)
"""


def record(migration: AnyMigration, batch: Batch[Any, Any], *, looked_at: Collection[Any] = ()) -> set[str]:
    """Make lineage, quarantine and merges say what this batch says of its rows and documents.

    A document that a row has left is put on the dirty list: once the lineage is overwritten nobody knows of it.

    Args:
        batch: its documents are in the modern store; rows whose document is not among them are only known.
        looked_at: keys that the caller's transaction brings in step anyway; they need no notice.

    Returns: the rows that the lineage has for the keys looked at, and of which the batch says nothing.
    """
    batch = _without_standing_refusals(migration, batch)
    known = _record_lineage(migration, batch, looked_at)
    left = {migration.decode_key(key) for key in known.left} - set(looked_at)
    if left:
        dirty.mark_keys(migration, left, side=Side.LEGACY)
    if batch.rejections:
        _record_rejections(migration, batch.rejections)
    if known.rejected:
        _resolve(migration, [link.row for link in batch.links], "The row is no longer rejected.")
    if known.refused:
        _record_written(migration, batch)
    if known.merged or batch.merges:
        _record_merges(migration, batch)
    return set(known.unsaid)


def record_rejections(
    migration: AnyMigration, rejections: Collection[Rejection[Any]], *, looked_at: Collection[Any] = ()
) -> None:
    """Put these rows into quarantine, and into the lineage with their codes; `looked_at` as for `record`."""
    record(migration, Batch(rejections=list(rejections)), looked_at=looked_at)


def reopen(migration: AnyMigration, rows: Collection[str]) -> None:
    """What a person accepted of these rows waits for a person again."""
    with connection.cursor() as cursor:
        cursor.execute(_REOPEN, [migration.name, migration.rows_from, list(rows)])


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
            [migration.name, migration.rows_from, _list(rows)],
        )
        return dict(cursor.fetchall())


def forget(migration: AnyMigration, rows: Collection[str]) -> None:
    """These rows are gone from the legacy store: out of the lineage, and no longer anybody's to decide."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM migration_ops_lineage WHERE migration = %s AND source = %s AND row = ANY(%s)",
            [migration.name, migration.rows_from, list(rows)],
        )
    _resolve(migration, rows, "The row is gone.")


def forget_merges(migration: AnyMigration, keys: Collection[Any]) -> None:
    """The documents of these keys are gone or made of one row now."""
    _delete_merges(migration, [migration.encode_key(key) for key in keys])


def old_keys(migration: AnyMigration, rows: Collection[str]) -> dict[str, str | None]:
    """Encoded key by row as the lineage has it; None for a row in quarantine whose key is unknown."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row, key FROM migration_ops_lineage"
            " WHERE migration = %s AND source = %s AND row = ANY(ARRAY(SELECT json_array_elements_text(%s)))",
            [migration.name, migration.rows_from, _list(rows)],
        )
        return dict(cursor.fetchall())


def unlike(migration: AnyMigration, batch: Batch[Any, Any]) -> set[Any]:
    """Keys of which a row of this batch says something that no row of theirs said when it was last recorded."""
    by_text = {migration.encode_key(link.key): link.key for link in batch.links}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key, fingerprint FROM migration_ops_lineage WHERE migration = %s AND source = %s AND key = ANY(%s)",
            [migration.name, migration.rows_from, list(by_text)],
        )
        recorded = {(by_text[key], fingerprint) for key, fingerprint in cursor.fetchall()}
    return {link.key for link in batch.links if (link.key, link.fingerprint) not in recorded}


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


def _without_standing_refusals(migration: AnyMigration, batch: Batch[Any, Any]) -> Batch[Any, Any]:
    """The batch without rows of which the modern database said what it still would say, and that were not written."""
    written = {document.key for document in batch.documents}
    only_known = [link for link in batch.links if link.key not in written]
    refused = refused_rows(migration, [link.row for link in only_known])
    standing = {link.row for link in only_known if refused.get(link.row) == link.fingerprint}
    return replace(batch, links=[link for link in batch.links if link.row not in standing]) if standing else batch


class _Known(NamedTuple):
    """What was known already of what a batch speaks of.

    Attributes:
        left: encoded keys that rows of it had until now and have no longer.
        rejected: represented rows of it are in quarantine.
        refused: documents of it are, because they were refused.
        merged: documents of it are known as made of several rows.
        unsaid: rows that the lineage has for the keys looked at, and that the batch does not name.
    """

    left: list[str]
    rejected: bool
    refused: bool
    merged: bool
    unsaid: list[str]


def _record_written(migration: AnyMigration, batch: Batch[Any, Any]) -> None:
    """Whatever rows of these documents were in quarantine because they were refused, on whichever page they are."""
    keys = _list(migration.encode_key(document.key) for document in batch.documents)
    with connection.cursor() as cursor:
        cursor.execute(_WRITTEN, {"migration": migration.name, "source": migration.rows_from, "keys": keys})


def _record_lineage(migration: AnyMigration, batch: Batch[Any, Any], looked_at: Collection[Any]) -> _Known:
    encode = migration.encode_key
    entries: dict[str, tuple[str | None, str | None, str]] = {
        link.row: (encode(link.key), None, link.fingerprint) for link in batch.links
    }
    for rejection in batch.rejections:
        key = None if rejection.key is None else encode(rejection.key)
        entries[rejection.row] = (key, rejection.code, rejection.fingerprint)
    keys, codes, fingerprints = zip(*entries.values(), strict=True) if entries else ((), (), ())
    said = {
        "rows": _list(entries),
        "keys": _list(keys),
        "codes": _list(codes),
        "fingerprints": _list(fingerprints),
        "documents": _list(encode(document.key) for document in batch.documents),
        "looked_at": _list(map(encode, looked_at)),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LINEAGE, {"migration": migration.name, "source": migration.rows_from, **said})
        return _Known(*cursor.fetchone())


def _list(values: Iterable[str | None]) -> str:
    return json.dumps(list(values), ensure_ascii=False)


def _record_rejections(migration: AnyMigration, rejections: Collection[Rejection[Any]]) -> None:
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


def storable(text: str) -> str:
    """PostgreSQL text has no NUL and no lone surrogate; a rejected row may, and is shown with escapes."""
    return text.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode("utf-8")


def _resolve(migration: AnyMigration, rows: Collection[str], reason: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_RESOLVE, [reason, migration.name, migration.rows_from, _list(rows)])


def _record_merges(migration: AnyMigration, batch: Batch[Any, Any]) -> None:
    merged = {migration.encode_key(merge.key): merge for merge in batch.merges}
    single = [key for document in batch.documents if (key := migration.encode_key(document.key)) not in merged]
    _delete_merges(migration, single)
    if merged:
        with connection.cursor() as cursor:
            cursor.execute(
                _MERGES,
                [
                    migration.name,
                    migration.rows_from,
                    list(merged),
                    [json.dumps(merge.rows) for merge in merged.values()],
                    [_conflicts(merge) for merge in merged.values()],
                ],
            )


def _conflicts(merge: Merge[Any]) -> str:
    return json.dumps([asdict(conflict) for conflict in merge.conflicts], ensure_ascii=False)


def _delete_merges(migration: AnyMigration, keys: list[str]) -> None:
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM migration_ops_mergerecord"
            " WHERE migration = %s AND source = %s AND key = ANY(ARRAY(SELECT json_array_elements_text(%s)))",
            [migration.name, migration.rows_from, _list(keys)],
        )
