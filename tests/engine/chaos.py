"""Somebody who writes to the legacy table past the app, whatever else goes on."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import Any

import psycopg

from tests.engine.syncing import run

PAUSE = 0.02
"""Seconds between two writes, and between two attempts to connect."""


class Writer:
    """Changes, adds and removes rows of the legacy table at random, over the connection of the test."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def write(self) -> None:
        name = f"w{self.chance.randrange(10_000)}"
        run("INSERT INTO legacy_notes (notebook, title, body) VALUES ('written', %s, 'one')", name)
        some = "SELECT id FROM legacy_notes ORDER BY random() LIMIT 1"
        run(f"UPDATE legacy_notes SET body = %s WHERE id = ({some})", name)
        run(f"DELETE FROM legacy_notes WHERE id = ({some})")


class WriterOutside(threading.Thread):
    """Adds and changes rows until it is told to end, over a connection of its own, made anew when the server dies.

    Attributes:
        known: what was acknowledged, by id; a row whose last write got no answer is not in it.
        acknowledged: how many writes were.
    """

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.known: dict[int, str] = {}
        self.acknowledged = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            with suppress(psycopg.OperationalError), psycopg.connect(self.address, autocommit=True) as connection:
                while not self._ended.is_set():
                    self._write(connection)
                    self._ended.wait(PAUSE)
            self._ended.wait(PAUSE)

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _write(self, connection: psycopg.Connection[Any]) -> None:
        body = f"body {self.acknowledged}"
        if self.acknowledged % 3 and self.known:
            (row, _) = self.known.popitem()
            connection.execute("UPDATE legacy_notes SET body = %s WHERE id = %s", [body, row])
        else:
            add = "INSERT INTO legacy_notes (notebook, title, body) VALUES ('outside', %s, %s) RETURNING id"
            found = connection.execute(add, [f"t{self.acknowledged}", body]).fetchone()
            assert found is not None
            (row,) = found
        self.known[row] = body
        self.acknowledged += 1
