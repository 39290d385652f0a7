"""Hears calls on the channel of the dirty list."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psycopg
from django.db import connection
from psycopg import sql

from migration_ops.sync import dirty


class Listener:
    """Hears calls on the dirty list's channel from the moment it is entered, on a connection of its own.

    Raises:
        psycopg.Error: on entering or waiting, when the server is not there.
    """

    def __enter__(self) -> Self:
        self._connection: psycopg.Connection[Any] = psycopg.connect(
            **{**connection.get_connection_params(), "autocommit": True}
        )
        self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(dirty.CHANNEL)))
        self._own = f"heartbeat {uuid4()}"
        self._called = 0.0
        self._heard: float | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def wait(self, seconds: float) -> bool:
        """Wait until called, or for so long; whether somebody called. Calls that came before count."""
        called = False
        for call in self._connection.notifies(timeout=seconds, stop_after=1):
            if call.payload == self._own:
                self._heard = monotonic()
            else:
                called = True
        return called

    def call(self) -> None:
        """Call, as others do, to find out by `echo` how soon that is heard."""
        self._called, self._heard = monotonic(), None
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [dirty.CHANNEL, self._own])

    def echo(self) -> float | None:
        """Seconds that the last `call` took until it was heard; None while it was not. Told once."""
        heard, self._heard = self._heard, None
        return None if heard is None else heard - self._called
