"""Which documents were made of several legacy rows, and what these disagreed on; as `bookkeeping`, inside the caller's
transaction."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from django.db import connection

from migration_ops.definition import AnyMigration, Batch, Merge
from migration_ops.sync.json_list import json_list

_MERGES = """
INSERT INTO migration_ops_mergerecord AS known (migration, source, key, rows, conflicts, merged_at)
SELECT %s, %s, key, rows, conflicts, now()
  FROM unnest(%s::text[], %s::jsonb[], %s::jsonb[]) AS said (key, rows, conflicts)
ON CONFLICT (migration, source, key) DO UPDATE
   SET rows = excluded.rows, conflicts = excluded.conflicts, merged_at = now()
 WHERE (known.rows, known.conflicts) IS DISTINCT FROM (excluded.rows, excluded.conflicts)
"""


def record(migration: AnyMigration, batch: Batch[Any, Any]) -> None:
    """Make the merges say what this batch says of its documents."""
    merged = {migration.encode_key(merge.key): merge for merge in batch.merges}
    single = [key for document in batch.documents if (key := migration.encode_key(document.key)) not in merged]
    _delete(migration, single)
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


def forget(migration: AnyMigration, keys: Collection[Any]) -> None:
    """The documents of these keys are gone or made of one row now."""
    _delete(migration, [migration.encode_key(key) for key in keys])


def _conflicts(merge: Merge[Any]) -> str:
    return json.dumps([asdict(conflict) for conflict in merge.conflicts], ensure_ascii=False)


def _delete(migration: AnyMigration, keys: list[str]) -> None:
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM migration_ops_mergerecord"
            " WHERE migration = %s AND source = %s AND key = ANY(ARRAY(SELECT json_array_elements_text(%s)))",
            [migration.name, migration.rows_from, json_list(keys)],
        )
