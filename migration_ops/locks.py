"""Advisory locks: the fence around stages and the lock of one key.

Lock order, everywhere: fence, then (the applier alone) notices' rows, then keys in sorted order, then database rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from django.db import OperationalError, connection
from psycopg import sql

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import StillLocked
from migration_ops.patience import LOCK_NOT_AVAILABLE, bounded_by, milliseconds, sqlstate
from migration_ops.sentence import joined, said

KEY_PATIENCE = timedelta(seconds=2)
"""How long to wait for a key that a backfill or an applier works on, by whoever holds nothing a user needs yet."""

ROW_PATIENCE = timedelta(milliseconds=100)
"""How long to wait for rows a user holds: less than PostgreSQL's `deadlock_timeout`, and so little that it may come on
top of `follower_patience` for a user who waits behind whoever waits, and is hardly noticed."""

_A_LITTLE_MORE = 1.25
"""A statement may take longer than it may wait, so that whoever waited in vain is told that it was a lock."""


def lock_id(*parts: str) -> int:
    """A signed 64-bit id for `pg_advisory_lock`, from a hash of the parts."""
    digest = blake2b("\x00".join(parts).encode(), digest_size=8, person=b"migration_ops")
    return int.from_bytes(digest.digest(), "big", signed=True)


def fence_id(migration: AnyMigration) -> int:
    return lock_id("fence", migration.name)


def enter_fence(migration: AnyMigration) -> None:
    """Take part: as long as this transaction lasts, the stage stays what it is. Read the stage after this call."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [fence_id(migration)])


def wait_at_most(patience: timedelta) -> None:
    """End whatever waits longer than this for one lock, until the end of this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [milliseconds(patience)])


def limit(*, lock: timedelta, statement: timedelta) -> None:
    """As `limited`, until the end of this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
            " set_config('row_security', 'off', true)",
            [milliseconds(lock), milliseconds(statement)],
        )


@contextmanager
def limited(*, lock: timedelta, statement: timedelta) -> Iterator[None]:
    """Within this block a statement waits for one lock for no longer than `lock`, and takes no longer than `statement`,
    and one from which a policy would hide rows fails: half a document would pass for the whole.

    Afterwards the limits are what they were. It belongs into a savepoint: whoever rolls back to it has them back, too.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),"
            " current_setting('row_security'), set_config('lock_timeout', %s, true),"
            " set_config('statement_timeout', %s, true), set_config('row_security', 'off', true)",
            [milliseconds(lock), milliseconds(statement)],
        )
        before = cursor.fetchone()[:3]
    yield
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
            " set_config('row_security', %s, true)",
            before,
        )


@contextmanager
def hurried(patience: timedelta) -> Iterator[None]:
    """Within this block nothing waits for others for longer than `patience`; it belongs into a savepoint, as `limited`
    does."""
    with limited(lock=patience, statement=patience * _A_LITTLE_MORE), bounded_by(patience):
        yield


@contextmanager
def waiting_for(what: str, patience: timedelta) -> Iterator[None]:
    """As `wait_at_most`, and whoever waited in vain within this block is told for what.

    Raises:
        StillLocked: names `what`, and the row or table as far as PostgreSQL does.
    """
    wait_at_most(patience)
    try:
        yield
    except OperationalError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        raise StillLocked(
            said(
                "Waited %(time)s for %(what)s, but others hold it. Try again when they are done.",
                time=milliseconds(patience),
                what=joined((what, _place(error)), by=""),
            )
        ) from error


def _place(error: OperationalError) -> str:
    """Where it was, in PostgreSQL's words, e.g. `while locking tuple (0,1) in relation "weeks"`."""
    context = getattr(getattr(error.__cause__, "diag", None), "context", None)
    return f" ({context.splitlines()[0]})" if context else ""


def lock_keys(migration: AnyMigration, keys: Collection[Any]) -> None:
    """Wait until this transaction alone may change the documents of these keys, in either store.

    Whoever changes a document through the engine holds this lock, so that nobody writes a stale copy over a newer one.
    """
    _lock({lock_id("key", migration.name, migration.encode_key(key)) for key in keys})


def lock_tables_for_writing(tables: Collection[str]) -> None:
    """Wait until nobody keeps these tables as a whole from being written, and keep it so as a write would anyway.

    Whoever waits for a row after this waits for somebody who changes that very row.
    """
    if not tables:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(names).as_string(connection.connection))


def lock_rows(migration: AnyMigration, rows: Collection[str]) -> None:
    """Wait until this transaction alone works off notices of these legacy rows, before it looks which keys they have.

    Otherwise an applier that saw a row without a key, or gone, could record that after another one has recorded what
    the row became since.
    """
    _lock({lock_id("row", migration.name, row) for row in rows})


def _lock(wanted: Collection[int]) -> None:
    ids = sorted(wanted)
    if not ids:
        return
    with connection.cursor() as cursor:
        numbers = ",".join(map(str, ids))  # one literal: the driver would convert the list number by number
        cursor.execute("SELECT pg_advisory_xact_lock(id) FROM unnest(%s::bigint[]) AS id", [f"{{{numbers}}}"])
