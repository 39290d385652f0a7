"""What a process that serves for long does beside: it writes what it counted, and says that it is alive.

A thread of its own does it, so that no request waits. It begins with a first word, before there is any request: a
process that has started and never served is known as well.
"""

from __future__ import annotations

import atexit
import logging
import threading
from dataclasses import dataclass, field

from django.db import Error, connection

from migration_ops import registry
from migration_ops.conf import settings
from migration_ops.exceptions import first_line
from migration_ops.observe import metrics, processes
from migration_ops.observe.heartbeat import Role

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that a process which ends waits for its thread."""


def keep_reporting(role: Role) -> Reporting:
    """From now on report every `metrics_flush`, and a last time when this process ends.

    Call it where the process begins. Where a master loads the application and forks, it speaks for its children, which
    run the same code with the same settings.
    """
    reporting = Reporting(role)
    reporting.begin()
    atexit.register(reporting.end)
    return reporting


@dataclass
class Reporting:
    """The thread that reports for a process with this role."""

    role: Role
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start it."""
        self._thread = threading.Thread(target=self._report, name="migration_ops.reporting", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop it, write what was counted since, and say goodbye; where the database is away, silence says it."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        metrics.flush()
        try:
            processes.say_goodbye(self.role)
        except Error as error:
            logger.warning("This process could not say that it ends: %s", first_line(error))

    def _report(self) -> None:
        while not self._ended.is_set():
            try:
                say_alive(self.role)
                metrics.flush()
            except Exception:  # whatever it is: a process that serves and is not heard of would pass for none
                logger.exception("This process could not report; it tries again.")
            connection.close()  # this thread's own; it is needed again only in a few seconds
            self._ended.wait(settings().metrics_flush.total_seconds())


def say_alive(role: Role) -> None:
    """One word for each migration; where the database is away, the next one comes with the next report."""
    try:
        for migration in registry.all_migrations():
            processes.say_alive(migration, role)
    except Error as error:
        logger.warning("This process could not say that it is alive: %s", first_line(error))
