"""Keeps lineage, quarantine and merges in step with what a legacy store says of its rows.

Every function runs inside the caller's transaction, writes only what differs, and may be repeated.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

from django.db import connection

from migration_ops.definition import AnyMigration, Batch, Rejection, Side
from migration_ops.sync import dirty, merges, quarantining
from migration_ops.sync.json_list import json_list

# `LIMIT 1` keeps the planner, which does not know how short the lists are, from joining by a scan of the whole lineage.
# A user waits for this, and usually nothing else is known of the rows: it is quicker to look along than to find that
# out by statements.
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
        quarantining.put_in(migration, batch.rejections)
    if known.rejected:
        quarantining.take_out(migration, [link.row for link in batch.links], "The row is no longer rejected.")
    if known.refused:
        quarantining.take_out_written(migration, [document.key for document in batch.documents])
    if known.merged or batch.merges:
        merges.record(migration, batch)
    return set(known.unsaid)


def record_rejections(
    migration: AnyMigration, rejections: Collection[Rejection[Any]], *, looked_at: Collection[Any] = ()
) -> None:
    """Put these rows into quarantine, and into the lineage with their codes; `looked_at` as for `record`."""
    record(migration, Batch(rejections=list(rejections)), looked_at=looked_at)


def forget(migration: AnyMigration, rows: Collection[str]) -> None:
    """These rows are gone from the legacy store: out of the lineage, and no longer anybody's to decide."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM migration_ops_lineage WHERE migration = %s AND source = %s AND row = ANY(%s)",
            [migration.name, migration.rows_from, list(rows)],
        )
    quarantining.take_out(migration, rows, "The row is gone.")


def old_keys(migration: AnyMigration, rows: Collection[str]) -> dict[str, str | None]:
    """Encoded key by row as the lineage has it; None for a row in quarantine whose key is unknown."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row, key FROM migration_ops_lineage"
            " WHERE migration = %s AND source = %s AND row = ANY(ARRAY(SELECT json_array_elements_text(%s)))",
            [migration.name, migration.rows_from, json_list(rows)],
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


def _without_standing_refusals(migration: AnyMigration, batch: Batch[Any, Any]) -> Batch[Any, Any]:
    """The batch without rows of which the modern database said what it still would say, and that were not written."""
    written = {document.key for document in batch.documents}
    only_known = [link for link in batch.links if link.key not in written]
    refused = quarantining.refused_rows(migration, [link.row for link in only_known])
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
        "rows": json_list(entries),
        "keys": json_list(keys),
        "codes": json_list(codes),
        "fingerprints": json_list(fingerprints),
        "documents": json_list(encode(document.key) for document in batch.documents),
        "looked_at": json_list(map(encode, looked_at)),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LINEAGE, {"migration": migration.name, "source": migration.rows_from, **said})
        return _Known(*cursor.fetchone())
