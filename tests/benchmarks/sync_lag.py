"""How far the modern side is behind while somebody writes past the app all the time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any
from uuid import UUID

import psycopg

from migration_ops.sync.applier import lag_p95
from tests.benchmarks import measure, writers
from tests.benchmarks.measure import Benchmark
from tests.database import database_url

ROWS = 2_000
RATE = 200
"""Writes a second."""

SECONDS = 10.0
LONGEST = 100.0
"""Milliseconds that 95 % of the changes may take to the other side."""

LOOK_EVERY = 0.01
PATIENCE = 30.0
"""Seconds after which something is wrong."""

WEEKS = """
SELECT h.id, w.id
  FROM habit_tracker h
  JOIN children c ON c.user_id = h.user_id AND c.name = h.child_name
  JOIN weeks w ON w.child_id = c.id AND w.week_start_date = date_trunc('week', h.week_start_date)::date
"""
"""The week of each legacy row, in clean data."""


def sync_lag() -> Iterator[Benchmark]:
    """What 95 % of the changes stay within, as the follower says and as somebody sees who looks at the modern side."""
    measure.seed(ROWS)
    measure.empty_modern()
    measure.command("backfill")
    with psycopg.connect(database_url(), autocommit=True) as connection:
        follower = _follower(connection)
        onlooker = Onlooker(connection)
        onlooker.start()
        try:
            with writers.writing(RATE, writers.next_row, onlooker.write):
                time.sleep(SECONDS)
        finally:
            onlooker.end()
            follower.terminate()
            out, err = follower.communicate()
        if not out:
            raise RuntimeError(f"sync_changes --follow ended without a word on its lag: {err.decode()}")
        said = json.loads(out)
    seen = lag_p95(onlooker.lags)
    if seen is None:
        raise RuntimeError("Nothing was written, so there is no lag to speak of.")
    for name, lag in (("sync_lag", said["lag_p95_ms"]), ("sync_lag_seen_from_outside", seen)):
        yield Benchmark(name, lag, "ms", LONGEST, target=1, more_is_better=False)


def _follower(connection: psycopg.Connection[Any]) -> subprocess.Popen[bytes]:
    """`sync_changes --follow` as a process of its own, once it listens.

    Raises:
        RuntimeError: it does not.
    """
    follower = subprocess.Popen(
        [sys.executable, "manage.py", "sync_changes", "--follow", "--json"],
        env={**os.environ, "DATABASE_URL": database_url()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + PATIENCE
    listening = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"
    while connection.execute(listening).fetchone() is None:
        if follower.poll() is not None or time.monotonic() > deadline:
            follower.kill()
            raise RuntimeError("sync_changes --follow does not listen.")
        time.sleep(LOOK_EVERY)
    return follower


class Onlooker:
    """Looks at the modern side again and again, for every change until it is there.

    Attributes:
        lags: milliseconds from just before each change to the look that saw it.
        missing: changes that were never seen.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.lags: list[float] = []
        self.missing = 0
        self._connection = connection
        self._weeks: dict[int, UUID] = dict(connection.execute(WEEKS).fetchall())
        self._written: deque[tuple[int, UUID, float]] = deque()
        self._ended = Event()
        self._thread = Thread(target=self._look_on)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Come back once everything was seen.

        Raises:
            RuntimeError: some of it never came.
        """
        self._ended.set()
        self._thread.join()
        if self.missing:
            raise RuntimeError(f"{self.missing} changes did not reach the modern side in {PATIENCE:.0f} seconds.")

    def write(self, connection: psycopg.Connection[Any], row: int, number: int) -> None:
        """Change the theme of this legacy row, to the number."""
        began = time.perf_counter()
        connection.execute("UPDATE habit_tracker SET theme = %s WHERE id = %s", [str(number), row])
        self._written.append((number, self._weeks[row], began))

    def _look_on(self) -> None:
        awaited: defaultdict[UUID, dict[int, float]] = defaultdict(dict)
        deadline = time.monotonic() + SECONDS + PATIENCE
        while True:
            ending = self._ended.is_set()
            while self._written:
                number, week, began = self._written.popleft()
                awaited[week][number] = began
            if ending and (not awaited or time.monotonic() > deadline):
                self.missing = len(awaited)
                return
            sql = "SELECT id, theme FROM weeks WHERE id = ANY(%s)"
            for week, theme in self._connection.execute(sql, [list(awaited)]).fetchall():
                now = time.perf_counter()
                # A later change of the same row carries the earlier ones with it.
                seen = [number for number in awaited[week] if theme.isdecimal() and number <= int(theme)]
                self.lags += [(now - awaited[week].pop(number)) * 1000 for number in seen]
                if not awaited[week]:
                    del awaited[week]
            time.sleep(LOOK_EVERY)
