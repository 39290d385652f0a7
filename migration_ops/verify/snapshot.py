"""Reads of both stores at one moment, which see everything or fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import Error, ProgrammingError, connection, transaction

from migration_ops.backfill import errors
from migration_ops.backfill.errors import Backoff, Kind
from migration_ops.conf import settings
from migration_ops.exceptions import Unreadable
from migration_ops.patience import sqlstate
from migration_ops.sentence import said

Result = TypeVar("Result")

INSUFFICIENT_PRIVILEGE = "42501"

_PASSING = frozenset({Kind.CONFLICT, Kind.BLOCKED, Kind.DISCONNECTED, Kind.EXHAUSTED})


@contextmanager
def snapshot() -> Iterator[None]:
    """One REPEATABLE READ, READ ONLY transaction of its own; both stores are seen as they were at one moment.

    `row_security = off` makes PostgreSQL refuse a query that policies would filter, where it would otherwise show a
    part and keep silent: https://www.postgresql.org/docs/current/ddl-rowsecurity.html

    Raises:
        Unreadable: this role may not see everything.
        RuntimeError: a transaction is open already, whose snapshot may be older.
    """
    try:
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute("SET LOCAL row_security = off")
            yield
    except ProgrammingError as error:
        if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
            raise
        raise Unreadable(
            said(
                "This database role does not see everything (%(error)s), so nothing is proven. Validate as a role that"
                " owns the tables or has `BYPASSRLS`.",
                error=errors.sentence(error),
            )
        ) from error


def in_snapshot(read: Callable[[int], Result], size: int) -> Result:
    """`read(size)` in a snapshot; when the database does not manage, a few times more with half the size each.

    Raises:
        Unreadable: this role may not see everything, or the database did not answer in the end.
    """
    limits = settings()
    backoff = Backoff(
        first=limits.retry_first_delay.total_seconds(), longest=limits.retry_longest_delay.total_seconds()
    )
    attempt = 0
    while True:
        try:
            with snapshot():
                return read(max(1, size >> attempt))
        except Error as error:
            if errors.kind(error) not in _PASSING:
                raise
            attempt += 1
            if attempt > limits.retries:
                raise Unreadable(
                    said(
                        "The database did not answer (%(error)s); run it again to go on.", error=errors.sentence(error)
                    )
                ) from error
            connection.close_if_unusable_or_obsolete()
            time.sleep(backoff.delay(attempt, 0))
