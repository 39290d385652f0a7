"""The closed side of the fence: how a transition gets past the writers (`locks.enter_fence` is theirs)."""

from __future__ import annotations

from django.db import OperationalError, connection, transaction

from migration_ops import blockers, conf
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import FenceBusy
from migration_ops.locks import fence_id
from migration_ops.patience import LOCK_NOT_AVAILABLE, Patience, sqlstate
from migration_ops.sentence import said


def close(migration: AnyMigration) -> None:
    """Take the fence for this transaction alone.

    Asking without queueing costs writers nothing, but writers who relieve each other leave no gap; so in the second
    half of the time it also queues, each time for the transaction's `lock_timeout`, and writers wait behind it so long.

    Raises:
        FenceBusy: after `fence_timeout`; names who holds it.
    """
    lock = fence_id(migration)
    patience = Patience(conf.settings().fence_timeout)
    while not (_is_mine(lock) or (patience.is_half_over and _is_mine_after_queueing(lock))):
        if patience.is_over:
            nobody = said("nobody is in it any more, so try again.")
            raise FenceBusy(
                said(
                    "Writers held the fence of %(migration)s for %(time)s; nothing was changed: %(holders)s",
                    migration=migration.name,
                    time=str(patience),
                    holders=blockers.named(blockers.of_advisory_lock(lock), nobody=nobody),
                )
            )
        patience.pause()


def _is_mine(lock: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock])
        return bool(cursor.fetchone()[0])


def _is_mine_after_queueing(lock: int) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
    except OperationalError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        return False
    return True
