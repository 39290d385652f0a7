"""Runs a piece of work in a process of its own that a failpoint kills, without the second that a new Python takes."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

from django.db import connection

from migration_ops import failpoints


def run_until(failpoint: str, work: Callable[[], Any]) -> int:
    """Do the work in a child process, in which this failpoint kills with SIGKILL; how it ended, negative for a signal.

    The child gets database connections of its own.
    """
    connection.close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            failpoints._armed = failpoint
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must not go on as if it were the test
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
