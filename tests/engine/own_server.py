"""A PostgreSQL that a test may kill: with the tiny domain in it, and a background that works on it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from config.embedded.daemon import ended
from config.embedded.postgres_server import PORT, PostgresServer
from tests.engine.background import Background
from tests.engine.chaos import WriterOutside


class OwnServer:
    """The server, and its background."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="pg-"))
        self.server = PostgresServer(self.home / "postgresql")
        self.server.ensure()
        host = str(self.server.sockets)
        self.address = f"host={host} port={PORT} user=app dbname=app"
        self.background = Background(f"postgres://app@/app?host={quote(host, safe='')}&port={PORT}")

    def crash(self) -> None:
        """`pg_ctl stop -m immediate`: no checkpoint, no goodbye."""
        pid = self.server.pid()
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        assert ended(pid, timedelta(seconds=60))

    def start(self) -> None:
        self.server.ensure()

    def manage(self, *arguments: str) -> int:
        """How this command of the product ended."""
        return self.background.start(*arguments).wait(120)

    def prepare(self, *, rows: int) -> None:
        """The schema, and the tiny domain at stage `dual_write` with so many rows from before that."""
        assert self.manage("migrate", "--verbosity", "0") == 0, self.background.said()
        assert self._inside(f"from tests.engine.filled import fill_and_begin; fill_and_begin({rows})") == 0, (
            self.background.said()
        )

    def assert_in_step(self) -> None:
        assert self._inside("from tests.engine.invariants import assert_in_step; assert_in_step()") == 0, (
            self.background.said()[-4_000:]
        )

    def ask(self, sql: str) -> Any:
        """The one value that this statement answers."""
        with psycopg.connect(self.address, autocommit=True) as connection:
            found = connection.execute(sql).fetchone()
        assert found is not None
        return found[0]

    def rows_read(self) -> int:
        return int(self.ask("SELECT coalesce(sum((counters->>'rows_read')::int), 0) FROM migration_ops_runrange"))

    def run_status(self) -> str:
        return str(self.ask("SELECT status FROM migration_ops_run"))

    @contextmanager
    def writing(self) -> Iterator[WriterOutside]:
        """Somebody writes as long as this lasts; afterwards everything that was acknowledged must be there."""
        writer = WriterOutside(self.address)
        writer.start()
        try:
            yield writer
        finally:
            writer.end()
        for row, body in writer.known.items():
            assert self.ask(f"SELECT body FROM legacy_notes WHERE id = {row}") == body

    def end(self) -> None:
        self.background.end()
        self.server.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _inside(self, code: str) -> int:
        return self.background.run("-c", f"import django; django.setup(); {code}").wait(120)
