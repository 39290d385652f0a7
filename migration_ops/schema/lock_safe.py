"""Schema steps on tables that people use.

A statement that waits for a strong lock makes everybody wait who comes after it, even those who only read. So it waits
for `schema_lock_timeout` at most, makes way, pauses for a random moment, and tries again for `schema_lock_patience`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from django.db import OperationalError, connection, transaction

from migration_ops import blockers, conf
from migration_ops.exceptions import TableBusy
from migration_ops.patience import DEADLOCK, LOCK_NOT_AVAILABLE, Patience, milliseconds, sqlstate

ResultT = TypeVar("ResultT")

SHORTEST, LONGEST = timedelta(milliseconds=1), timedelta(milliseconds=500)


def with_short_locks(
    step: Callable[[], ResultT],
    *,
    tables: Sequence[str],
    lock_timeout: timedelta | None = None,
    patience: timedelta | None = None,
) -> ResultT:
    """Run `step` in a transaction of its own, again and again until it gets the locks it needs.

    `tables` are those it changes; they serve to name who is in the way. The durations default to the settings.

    Raises:
        TableBusy: the locks were not to be had; names who holds them.
        ValueError: `lock_timeout` is nothing, or so long that users would notice.
    """
    limit = lock_timeout or conf.settings().schema_lock_timeout
    if not SHORTEST <= limit <= LONGEST:
        raise ValueError(f"lock_timeout is {limit}; with users waiting it must be {SHORTEST} to {LONGEST}.")
    waiting = Patience(patience or conf.settings().schema_lock_patience)
    while True:
        try:
            with transaction.atomic(durable=True):
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [milliseconds(limit)])
                return step()
        except OperationalError as error:
            if sqlstate(error) not in (LOCK_NOT_AVAILABLE, DEADLOCK):
                raise
            if waiting.is_over:
                names = ", ".join(tables)
                holders = blockers.of_tables_named(tables)
                raise TableBusy(f"No lock on {names} for {waiting}; nothing was changed: {holders}") from error
        waiting.pause()


def execute(statement: str, *, tables: Sequence[str]) -> None:
    """One statement, with `with_short_locks`."""

    def step() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    with_short_locks(step, tables=tables)
