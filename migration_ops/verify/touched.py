"""Which documents were touched since the last comparison, without asking anything of whoever writes.

1. Rows whose transaction (`xmin`) is not older than the mark: of the captured tables of both stores, and of the
   lineage, which every carried change of a legacy row writes, a file's rows too.
2. What a deletion leaves behind: rows of the lineage that legacy does not have any more, documents of the lineage that
   modern does not have, and documents of modern that the lineage does not know.
3. What is known to be doubtful: the dirty list, differences that are standing, and those that shadow reads met.
4. Where nothing is captured, as in a file: every row that is not what the lineage says.

What is left is a deletion of a part of a document in tables that nobody captures. The random sample may see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import connection, transaction
from psycopg import sql

from migration_ops.definition import AnyMigration, CapturedTable
from migration_ops.models import TouchedKey
from migration_ops.preparation import prepare
from migration_ops.sync import bookkeeping, polling
from migration_ops.verify.journal import GATHER_PASS, Journal
from migration_ops.verify.lifecycle import standing
from migration_ops.verify.mark import Since

_PAGE = 2_000

_RECENT = sql.SQL("age(touched.xmin) <= age({mark}::text::xid)")
"""Rows written by transactions after the snapshot have a negative age; 32 bits know no more than that."""

_INTO = "INSERT INTO migration_ops_touchedkey (run_id, key) SELECT DISTINCT {run}::bigint, key FROM ({keys}) AS found"
_TOUCHED = sql.SQL(f"{_INTO} (key) WHERE key IS NOT NULL ON CONFLICT DO NOTHING")

_CHANGED_KEYS = """
WITH changed AS MATERIALIZED (SELECT touched.* FROM {table} AS touched WHERE {recent})
SELECT * FROM ({keys}) AS keys
"""

_CHANGED_ROWS = "SELECT {row} FROM {table} AS touched WHERE {recent}"

_LINEAGE = """
SELECT key FROM migration_ops_lineage AS touched WHERE migration = {name} AND source = '' AND {recent}
"""

_ROWS_GONE = """
SELECT known.key FROM migration_ops_lineage AS known
  LEFT JOIN (SELECT {row} AS row FROM {table}) AS present ON present.row = known.row
 WHERE known.migration = {name} AND known.source = '' AND present.row IS NULL
"""

# A document that came from a file is not in the lineage of the legacy store.
_ONE_SIDED = """
WITH changed AS (SELECT * FROM {table}),
     present (key) AS MATERIALIZED ({keys}),
     known AS MATERIALIZED (SELECT key, bool_and(code IS NULL) AS clean FROM migration_ops_lineage
                             WHERE migration = {name} AND source = '' AND key IS NOT NULL GROUP BY key)
(SELECT key FROM known WHERE clean EXCEPT SELECT key FROM present)
 UNION ALL
(SELECT key FROM present EXCEPT SELECT key FROM known
 EXCEPT SELECT key FROM migration_ops_importeddocument WHERE migration = {name})
"""

_DOUBTFUL = """
SELECT key FROM migration_ops_dirtykey WHERE migration = {name} AND row IS NULL
 UNION ALL
SELECT key FROM migration_ops_readdifference WHERE migration = {name} AND last_seen >= {at}
"""

_DIRTY_ROWS = "SELECT row FROM migration_ops_dirtykey WHERE migration = {name} AND row IS NOT NULL"


def gather(journal: Journal, since: Since) -> None:
    """Note every touched document for this run; done again as a whole if it was broken off.

    Raises:
        LeaseLost: another process went on with this run.
    """
    if journal.ranges[GATHER_PASS].done:
        return
    migration = journal.migration
    legacy, modern = migration.legacy(), migration.modern()
    for keys in _keys(migration, modern.captured_tables, legacy.captured_tables, since):
        with journal.long_lease(), transaction.atomic(durable=True):
            _note(journal, keys)
    prepare(legacy, journal.keep_lease)
    with journal.long_lease(), transaction.atomic(durable=True):
        for rows in _rows(migration, legacy.captured_tables, since):
            _note_rows(journal, rows)
    known = standing(migration).exclude(run=journal.run).values_list("key", flat=True)
    with journal.long_lease(), transaction.atomic(durable=True):
        _note_keys(journal, known.iterator(chunk_size=_PAGE))
    with transaction.atomic(durable=True):
        journal.pass_done(GATHER_PASS)


def keys_after(journal: Journal, after: str, limit: int) -> list[str]:
    """The next touched documents of this run."""
    found = TouchedKey.objects.filter(run=journal.run, key__gt=after).order_by("key")
    return list(found.values_list("key", flat=True)[:limit])


def among(journal: Journal, keys: Iterable[str]) -> set[str]:
    """Those of these documents that are noted as touched."""
    return set(TouchedKey.objects.filter(run=journal.run, key__in=list(keys)).values_list("key", flat=True))


def _keys(
    migration: AnyMigration, modern: Iterable[CapturedTable], legacy: Iterable[CapturedTable], since: Since
) -> Iterator[sql.Composable]:
    """SELECTs of encoded keys, each to be run by itself."""
    named = {"name": sql.Literal(migration.name), "recent": _recent(since), "at": sql.Literal(since.at)}
    for table in modern:
        yield sql.SQL(_CHANGED_KEYS).format(**named, **_of(table))
        if table.one_a_document:
            yield sql.SQL(_ONE_SIDED).format(**named, **_of(table))
    for table in legacy:
        yield sql.SQL(_ROWS_GONE).format(**named, **_of(table))
    yield sql.SQL(_LINEAGE).format(**named)
    yield sql.SQL(_DOUBTFUL).format(**named)


def _rows(migration: AnyMigration, legacy: Iterable[CapturedTable], since: Since) -> Iterator[list[str]]:
    """Pages of legacy rows."""
    tables = list(legacy)
    for table in tables:
        yield from _pages(sql.SQL(_CHANGED_ROWS).format(recent=_recent(since), **_of(table)))
    yield from _pages(sql.SQL(_DIRTY_ROWS).format(name=sql.Literal(migration.name)))
    if not tables:
        unlike = polling.unlike_lineage(migration)
        while page := list(islice(unlike, _PAGE)):
            yield page


def _pages(query: sql.Composable) -> Iterator[list[str]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(query.as_string(connection.connection))
        while found := cursor.fetchmany(_PAGE):
            yield [str(row) for (row,) in found]


def _note_rows(journal: Journal, rows: list[str]) -> None:
    """The documents these rows are part of, by what they say now and by what they said when they were carried over."""
    migration = journal.migration
    now = migration.legacy().keys_of(rows).values()
    keys = {migration.encode_key(key) for key in now if key is not None}
    keys |= {key for key in bookkeeping.old_keys(migration, rows).values() if key is not None}
    _note_keys(journal, keys)


def _note_keys(journal: Journal, keys: Iterable[str]) -> None:
    found = iter(keys)
    while page := list(islice(found, _PAGE)):
        TouchedKey.objects.bulk_create((TouchedKey(run=journal.run, key=key) for key in page), ignore_conflicts=True)


def _note(journal: Journal, keys: sql.Composable) -> None:
    with connection.cursor() as cursor:
        query = _TOUCHED.format(run=sql.Literal(journal.run.pk), keys=keys)
        # Keys that were written in `format()` hold signs of percent, which are no parameters.
        cursor.execute(query.as_string(connection.connection))


def _recent(since: Since) -> sql.Composable:
    return _RECENT.format(mark=sql.Literal(str(since.mark.seen % 2**32)))


def _of(table: CapturedTable) -> dict[str, Any]:
    """A captured table's name, and the expressions it declares; they are code, never input."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nspname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace"
            " WHERE pg_class.oid = to_regclass(quote_ident(%s))",
            [table.table],
        )
        found = cursor.fetchone()
    schema = sql.Identifier(found[0] if found else "public")
    return {
        "table": sql.SQL("{}.{}").format(schema, sql.Identifier(table.table)),
        "row": sql.SQL(table.row),
        "keys": sql.SQL(table.keys).format(changed=sql.SQL("changed"), schema=schema) if table.keys else sql.SQL(""),
    }
