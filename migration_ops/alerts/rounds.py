"""What whoever watches does again and again: look, keep the alerts, send."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import Error, connection

from migration_ops import registry
from migration_ops.alerts import keeping, outbox
from migration_ops.conf import settings
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
class Rounds:
    """Makes rounds beside a loop that must not wait for any server: in a thread of its own, one round at a time."""

    _thread: threading.Thread | None = field(default=None, init=False)
    _due: float = field(default=0.0, init=False)

    def make_if_due(self) -> None:
        """Begin a round if `alert_interval` has passed since the last one began: what the scheduler does."""
        if time.monotonic() >= self._due and not self._at_it:
            self._due = time.monotonic() + settings().alert_interval.total_seconds()
            self._begin(None)

    def stand_in(self, migration: AnyMigration) -> None:
        """Begin a round if the scheduler is silent: who else would say that it is?"""
        if self._at_it:
            return
        try:
            age = heartbeat.age(migration, Role.SCHEDULER)
        except Error as error:
            logger.warning("Nobody knows whether the scheduler is alive: %s", first_line(error))
            return
        if age is None or age > heartbeat.longest_silence(Role.SCHEDULER).total_seconds():
            self._begin([migration])

    def wait(self) -> None:
        """Return when no round is being made any more."""
        if self._thread is not None:
            self._thread.join()

    @property
    def _at_it(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _begin(self, migrations: Iterable[AnyMigration] | None) -> None:
        self._thread = threading.Thread(target=_round, args=[migrations], name="migration_ops.alerts", daemon=True)
        self._thread.start()


def _round(migrations: Iterable[AnyMigration] | None) -> None:
    try:
        make_round(migrations)
    finally:
        connection.close()
