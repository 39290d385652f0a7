"""Users who write legacy rows past the app, at a steady rate."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Lock, Thread
from typing import Any

import psycopg

from tests.database import database_url

SESSIONS = 8
"""Connections that take turns. One alone would stand still while a batch holds its row, and so write least just then,
when waiting is longest."""

Aim = Callable[["psycopg.Connection[Any]", range, int], int]
"""The id of the row to write next, among these; the number counts the writes."""

Write = Callable[["psycopg.Connection[Any]", int, int], None]
"""Write this row; the number counts the writes."""


@dataclass(slots=True)
class Waits:
    """Seconds that each write took."""

    seconds: list[float] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        """Milliseconds that so many percent of the writes stayed within (nearest rank).

        Raises:
            ValueError: there was no write.
        """
        if not self.seconds:
            raise ValueError("There was no write to speak of; let the benchmark run longer.")
        return sorted(self.seconds)[-(-len(self.seconds) * percent // 100) - 1] * 1000

    def longer_than(self, milliseconds: float) -> int:
        return sum(second * 1000 > milliseconds for second in self.seconds)


def any_row(connection: psycopg.Connection[Any], ids: range, number: int) -> int:
    """Some row of the table."""
    return random.choice(ids)


def next_row(connection: psycopg.Connection[Any], ids: range, number: int) -> int:
    """Each row of the table in turn, so that two sessions do not write the same one at a time."""
    return ids[number % len(ids)]


def row_in_the_way(connection: psycopg.Connection[Any], ids: range, number: int) -> int:
    """A row of the batch that the backfill is at; some row while there is none."""
    at = connection.execute(
        "SELECT cursor::bigint, batch_size FROM migration_ops_runrange WHERE NOT done AND cursor IS NOT NULL"
        " ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return random.choice(ids) if at is None else at[0] + random.randint(1, at[1])


def change_or_delete(connection: psycopg.Connection[Any], row: int, number: int) -> None:
    """One statement: nine times out of ten the row is changed, then it is deleted."""
    if number % 10:
        connection.execute("UPDATE habit_tracker SET theme = %s WHERE id = %s", [f"theme {number}", row])
    else:
        connection.execute("DELETE FROM habit_tracker WHERE id = %s", [row])


@contextmanager
def writing(rate: int, aim: Aim, write: Write = change_or_delete) -> Iterator[Waits]:
    """Write `rate` times a second until the block ends.

    Raises:
        psycopg.Error: a write failed.
    """
    waits, stop, failures = Waits(), Event(), list[psycopg.Error]()
    numbers, lock = count(1), Lock()

    def write_on(connection: psycopg.Connection[Any]) -> None:
        while not stop.is_set():
            with lock:
                number = next(numbers)
            if stop.wait(max(0.0, begun + number / rate - time.perf_counter())):
                return
            try:
                row = aim(connection, ids, number)
                due = time.perf_counter()
                write(connection, row, number)
            except psycopg.Error as error:
                failures.append(error)
                return
            waits.seconds.append(time.perf_counter() - due)

    connections = [psycopg.connect(database_url(), autocommit=True) for _ in range(SESSIONS)]
    first, last = connections[0].execute("SELECT min(id), max(id) FROM habit_tracker").fetchone() or (0, 0)
    ids = range(first, last + 1)
    threads = [Thread(target=write_on, args=[connection]) for connection in connections]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        yield waits
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()
    if failures:
        raise failures[0]
