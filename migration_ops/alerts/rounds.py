"""What whoever watches does again and again: look, keep the alerts, send."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import Error, connection

from migration_ops import registry
from migration_ops.alerts import keeping, outbox
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import MigrationOpsError, first_line
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role

logger = logging.getLogger(__name__)


def make_round(migrations: Iterable[AnyMigration] | None = None, *, stop: Callable[[], bool] = lambda: False) -> None:
    """Evaluate these migrations, by default all, and send what is due. Once a minute is often enough.

    Never raises because of what it finds: what cannot be looked at or sent is logged, and comes with the next round.
    """
    try:
        for migration in registry.all_migrations() if migrations is None else migrations:
            keeping.evaluate(migration)
        outbox.deliver(stop=stop)
        outbox.purge()
    except (Error, MigrationOpsError) as error:
        logger.warning("Alerts could not be kept, and are with the next round: %s", first_line(error))


@dataclass
class StandIn:
    """Makes rounds in the place of a scheduler that is silent: who else would say that it is?

    In a thread of its own, one round at a time: whoever it stands beside waits for no server.
    """

    _thread: threading.Thread | None = field(default=None, init=False)

    def look(self, migration: AnyMigration) -> None:
        """Begin a round if the scheduler is silent and none is being made."""
        if self._thread is not None and self._thread.is_alive():
            return
        try:
            age = heartbeat.age(migration, Role.SCHEDULER)
        except Error as error:
            logger.warning("Nobody knows whether the scheduler is alive: %s", first_line(error))
            return
        if age is None or age > heartbeat.longest_silence(Role.SCHEDULER).total_seconds():
            self._thread = threading.Thread(target=_round, args=[migration], name="migration_ops.alerts", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Return when no round is being made any more."""
        if self._thread is not None:
            self._thread.join()


def _round(migration: AnyMigration) -> None:
    try:
        make_round([migration])
    finally:
        connection.close()
