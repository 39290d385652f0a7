"""Users who write past the app at every point of a batch: all of it arrives, and nobody waits long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connections

from migration_ops.backfill import batch
from migration_ops.definition import AnyMigration
from migration_ops.failpoints import failpoint as ordinary_failpoint
from migration_ops.sync import applier
from tests.engine.backfilling import backfill
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, rows, second_connection
from tests.engine.waiting import eventually
from tests.notes import schema

POINTS = (batch.BEGUN, batch.READ, batch.SAVED, batch.RECORDED, batch.ADVANCED, batch.COMMITTED)

WRITES = {
    "update": "UPDATE legacy_notes SET body = 'newer' WHERE title = 'b'",
    "delete": "DELETE FROM legacy_notes WHERE title = 'b'",
    "shrink": "DELETE FROM legacy_notes WHERE title = 'merged' AND body = 'upper'",
    "shrink from below": "DELETE FROM legacy_notes WHERE title = 'merged' AND body = 'lower'",
    "lead elsewhere": "UPDATE legacy_notes SET title = 'elsewhere' WHERE title = 'merged' AND body = 'upper'",
    "free": "DELETE FROM legacy_notes WHERE title = 'held' AND body IS NULL",
    "move": "UPDATE legacy_notes SET title = 'elsewhere' WHERE title = 'b'",
    "move into another": "UPDATE legacy_notes SET title = 'a' WHERE title = 'b'",
    "insert above": "INSERT INTO legacy_notes (notebook, title, body) VALUES ('home', 'b', 'later')",
    "insert below the cursor": "INSERT INTO legacy_notes (id, notebook, title, body) VALUES (0, 'home', 'low', 'x')",
    "break": "UPDATE legacy_notes SET body = NULL WHERE title = 'b'",
    "heal": "UPDATE legacy_notes SET body = 'mended' WHERE title = 'broken'",
    "replace": "WITH gone AS (DELETE FROM legacy_notes WHERE title = 'b' RETURNING notebook, title)"
    " INSERT INTO legacy_notes (notebook, title, body) SELECT notebook, title, 'again' FROM gone",
}

ROWS = (
    ("home", "a", "1"),
    ("home", "merged", "lower"),
    ("home", "held", "by a later row"),
    ("home", "b", "2"),
    ("home", "broken", None),
    ("home", "merged", "upper"),
    ("home", "c", "3"),
    ("home", "held", None),
    ("home", "d", "4"),
)


class Writer:
    """Somebody with a connection of his own, who writes at one point of the backfill and may have to wait for it."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.waited = 0.0
        self.connection: psycopg.Connection[Any] = second_connection()
        self.thread = threading.Thread(target=self._write)

    def go(self) -> None:
        """Write now: come back as soon as it is done or has to wait for a lock."""
        self.thread.start()
        process = self.connection.info.backend_pid
        eventually(
            lambda: not self.thread.is_alive() or rows("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %s", process)
        )

    def end(self) -> None:
        self.thread.join()
        self.connection.close()

    def _write(self) -> None:
        began = time.monotonic()
        self.connection.execute(self.sql)
        self.connection.commit()
        self.waited = time.monotonic() - began


@pytest.fixture
def writing(notes: AnyMigration) -> AnyMigration:
    """The tiny domain at stage `dual_write`, with rows from before that."""
    schema.add_rows(*ROWS)
    begin_dual_write(notes)
    return notes


def at(monkeypatch: pytest.MonkeyPatch, point: str, time: int, act: Callable[[], None]) -> None:
    """Do this when the backfill passes this point for the `time`-th time."""
    passed = []

    def watch(name: str) -> None:
        ordinary_failpoint(name)
        if name == point:
            passed.append(name)
            if len(passed) == time:
                act()

    monkeypatch.setattr(batch, "failpoint", watch)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("time", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_write_at_any_point_of_a_batch_arrives(
    writing: AnyMigration, monkeypatch: pytest.MonkeyPatch, time: int, point: str, write: str
) -> None:
    writer = Writer(WRITES[write])
    at(monkeypatch, point, time, writer.go)
    code, said, error = backfill("--batch-size", "3")
    writer.end()
    assert code in (0, 3), error
    applier.drain(writing)
    assert_in_step()
    counted = ("notes_written", "notes_unchanged", "notes_merged", "rows_quarantined")
    assert said["rows_read"] == sum(said[name] for name in counted)


def test_a_writer_waits_for_the_batch_at_hand_and_not_for_the_run(
    writing: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.add_rows(*(("home", f"n{number}", "x") for number in range(200)))
    writer = Writer(WRITES["update"])
    at(monkeypatch, batch.SAVED, 2, writer.go)
    committed = []

    def note(*arguments: Any, **options: Any) -> Any:
        step = ordinary(*arguments, **options)
        committed.append(writer.thread.ident is not None and not writer.thread.is_alive())
        if len(committed) == 3:
            writer.thread.join(10)
        return step

    ordinary = batch.run
    monkeypatch.setattr(batch, "run", note)
    assert backfill("--batch-size", "10")[0] == 3
    writer.end()
    assert committed[0] is False
    assert all(committed[3:])
    assert len(committed) > 10
    assert_in_step()


def test_a_user_is_not_kept_waiting_while_the_batch_waits_for_somebody_else(
    writing: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that meets a locked row lets go of all it holds within the lock timeout, then comes back."""
    holder = second_connection()
    holder.execute("UPDATE legacy_notes SET body = 'held' WHERE title = 'd'")
    writer = Writer("UPDATE legacy_notes SET body = 'quick' WHERE title = 'a'")
    threads = []

    def beside() -> None:
        def act() -> None:
            writer.go()
            writer.end()
            holder.commit()
            holder.close()
            connections.close_all()

        threads.append(threading.Thread(target=act))
        threads[0].start()

    at(monkeypatch, batch.BEGUN, 1, beside)
    code, _, error = backfill()
    threads[0].join()
    assert code == 3, error
    assert writer.waited < 1.0
    assert_in_step()
