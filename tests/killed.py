"""Work in processes of their own that are killed, without the second that a new Python takes to start."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

from django.db import connection

from migration_ops import failpoints


class Child:
    """A child process that does some work, on database connections of its own.

    Args:
        failpoint: kills it with SIGKILL where it is passed.
    """

    def __init__(self, work: Callable[[], Any], *, failpoint: str = "") -> None:
        connection.close()
        self._status: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
                failpoints._armed = failpoint
                work()
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
            except BaseException:  # noqa: BLE001 - the child must not go on as if it were the test
                traceback.print_exc()
            finally:
                os._exit(code)

    @property
    def is_running(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is None

    def send(self, number: signal.Signals) -> None:
        if self.is_running:
            os.kill(self._pid, number)

    def outcome(self) -> int:
        """How it ended, once it has; negative for a signal."""
        if self._status is None:
            _, self._status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(self._status)


def run_until(failpoint: str, work: Callable[[], Any]) -> int:
    """How work in a child process ended, in which this failpoint kills with SIGKILL; negative for a signal."""
    return Child(work, failpoint=failpoint).outcome()
