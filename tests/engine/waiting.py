"""How tests wait: for a condition, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

PATIENCE = 20.0

_WAITS = """
SELECT FROM pg_locks JOIN pg_stat_activity AS waiting USING (pid)
 WHERE NOT granted AND waiting.datname = current_database()
"""

_ELSEWHERE = "SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND datname <> current_database()"


# Within a transaction PostgreSQL shows the sessions as they were at its first look: who connected since is never seen.
_ANEW = "SELECT pg_stat_clear_snapshot()"


def eventually(
    condition: Callable[[], Any], *, seconds: float = PATIENCE, evidence: Callable[[], str] = lambda: ""
) -> Any:
    """Ask again and again until the answer is yes; that answer.

    Args:
        seconds: for which it may be no.
        evidence: what else to say of a failure.

    Raises:
        AssertionError: it stayed no.
    """
    ended = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < ended, f"What this test waits for never happened. {evidence()}"
        threading.Event().wait(0.005)
    return answer


def until_alone() -> None:
    """Wait until no transaction of another database of this server is open.

    Transactions are numbered for all databases alike: while tests that run beside these have one open, what is older
    than theirs cannot be told from what is younger, and drift takes more rows for touched, or everything.
    """
    with connection.cursor() as cursor:

        def alone() -> bool:
            cursor.execute(_ANEW)
            cursor.execute(_ELSEWHERE)
            return cursor.fetchone() is None

        eventually(alone)


def until_somebody_waits() -> None:
    """Wait until a session of this database waits for a lock; those of tests that run beside these do not count."""
    with connection.cursor() as cursor:

        def waits() -> bool:
            cursor.execute(_ANEW)
            cursor.execute(_WAITS)
            return cursor.fetchone() is not None

        eventually(waits)


class InThread(threading.Thread):
    """A call in a thread with a database connection of its own; `outcome()` returns or raises what the call did."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - raised again where the test asks for the outcome
            self._error = error
        finally:
            connection.close()

    def outcome(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "The call did not come back."
        if self._error is not None:
            raise self._error
        return self._result
