"""Capture for stores that have no triggers: when the store's version changed, compare every row's fingerprint.

The rows' fingerprints as they were last carried over are in the lineage, so what changed, came or went is what differs
from it. The version moves on in the transaction that writes the dirty rows: killed in between, it is all done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from migration_ops.definition import AnyMigration, RowStore
from migration_ops.exceptions import Refused
from migration_ops.failpoints import failpoint, label
from migration_ops.models import PolledVersion
from migration_ops.preparation import prepare
from migration_ops.sentence import said
from migration_ops.sync import dirty

_MARKED = label("polling.marked")

_CHUNK = 5_000

_SEEN = "CREATE TEMPORARY TABLE migration_ops_seen (row text NOT NULL, fingerprint text NOT NULL) ON COMMIT DROP"

_FEW = 10
"""So many rows may vanish and leave nothing behind, as when a family deletes all it has."""

_UNACCOUNTED = """
SELECT count(*) FROM migration_ops_lineage AS known
 WHERE known.migration = %(migration)s AND known.source = ''
   AND NOT EXISTS (SELECT FROM migration_ops_seen)
   AND NOT EXISTS (SELECT FROM migration_ops_dirtykey AS dirty
                    WHERE dirty.migration = known.migration
                      AND (dirty.row = known.row OR dirty.row IS NULL AND dirty.key = known.key))
"""

_UNLIKE = """
SELECT coalesce(seen.row, known.row) AS row
  FROM migration_ops_seen AS seen
  FULL JOIN (SELECT row, fingerprint FROM migration_ops_lineage
              WHERE migration = %(migration)s AND source = '') AS known
    ON known.row = seen.row
 WHERE known.fingerprint IS DISTINCT FROM seen.fingerprint
"""

_MARK = f"""
INSERT INTO migration_ops_dirtykey (migration, side, row, created_at)
SELECT %(migration)s, 'legacy', row, clock_timestamp() FROM ({_UNLIKE}) AS changed
"""


def begin(migration: AnyMigration) -> bool:
    """Note the version the store has now: whatever changes from here on is found by `poll`.

    Returns: whether no version was noted before.
    """
    _, created = PolledVersion.objects.get_or_create(
        migration=migration.name, defaults={"version": migration.legacy().version() or ""}
    )
    return created


def end(migration: AnyMigration) -> None:
    """Poll no longer."""
    PolledVersion.objects.filter(migration=migration.name).delete()


def begun(migration: AnyMigration) -> bool:
    return PolledVersion.objects.filter(migration=migration.name).exists()


def poll(migration: AnyMigration) -> int:
    """Put every row that differs from what was last carried over on the dirty list, if the store's version changed.

    Does nothing where triggers watch, where `begin` was not called, or while another process polls.

    Returns: how many rows were put on the list.

    Raises:
        MigrationOpsError: the store cannot be read.
        Refused: the store is empty all at once, though many rows were carried over before.
    """
    legacy = migration.legacy()
    if legacy.captured_tables:
        return 0
    prepare(legacy)
    with transaction.atomic(durable=True):
        noted = PolledVersion.objects.select_for_update(skip_locked=True).filter(migration=migration.name).first()
        # The version is read before the content: a change in between is found by the next poll once more.
        version = legacy.version() or ""
        if noted is None or noted.version == version:
            return 0
        _see(legacy)
        with connection.cursor() as cursor:
            _refuse_if_empty(migration, cursor)
            cursor.execute(_MARK, _named(migration))
            marked = int(cursor.rowcount)
        if marked:
            dirty.call(migration)
        failpoint(_MARKED)
        noted.version = version
        noted.save(update_fields=["version"])
    return marked


def unlike_lineage(migration: AnyMigration) -> Iterator[str]:
    """Every row that came, changed or went since it was last carried over, whatever the store's version says.

    Reads the whole store, in the caller's transaction, and holds no more than a page of it.
    """
    _see(migration.legacy())
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE migration_ops_unlike ON COMMIT DROP AS {_UNLIKE}", _named(migration))
    after = ""
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT row FROM migration_ops_unlike WHERE row > %s ORDER BY row LIMIT %s", [after, _CHUNK])
            found = [row for (row,) in cursor.fetchall()]
        if not found:
            return
        yield from found
        after = found[-1]


def _named(migration: AnyMigration) -> dict[str, str]:
    return {"migration": migration.name}


def _see(legacy: RowStore[Any, Any]) -> None:
    """Have what the store holds now beside the lineage, until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_SEEN)
        rows = legacy.fingerprints()
        while chunk := list(islice(rows, _CHUNK)):
            with cursor.copy("COPY migration_ops_seen (row, fingerprint) FROM STDIN") as copy:
                for row in chunk:
                    copy.write_row(row)
        cursor.execute("ANALYZE migration_ops_seen")


def _refuse_if_empty(migration: AnyMigration, cursor: CursorWrapper) -> None:
    """Rather the wrong file than no data: a store that lost everything at once, past the engine, is not believed."""
    cursor.execute(_UNACCOUNTED, _named(migration))
    ((rows,),) = cursor.fetchall()
    if rows > _FEW:
        raise Refused(
            said(
                "The legacy store is empty, but %(rows)s of its rows were migrated before; nothing was deleted. Put its"
                " content back. If the rows are really gone, `manage.py validate_migration --repair --delete-extras`"
                " removes their documents.",
                rows=f"{rows:,}",
            )
        )
