"""No false alarm while families write: both stores changed at once, or one changed and the applier behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Self

import psycopg
from django.db import connection

from migration_ops.definition import AnyMigration
from migration_ops.sync.applier import drain
from tests.engine.syncing import begin_dual_write, second_connection
from tests.engine.validating import copy_over, fill, validate_json

NOTES = 120


class Meanwhile:
    """Runs `step` over and over in a thread of its own, until left.

    Raises:
        BaseException: what ended the steps too early, to whoever counts them or leaves.
    """

    def __init__(self, step: Callable[[int], object]) -> None:
        self._step = step
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._done = 0
        self._thread = threading.Thread(target=self._work)

    def done(self) -> int:
        """How many steps there were so far."""
        if self._failure is not None:
            raise self._failure
        return self._done

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.done()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                self._step(self._done)
                self._done += 1
        except BaseException as error:  # noqa: BLE001 - whoever started it must hear of it
            self._failure = error
        finally:
            connection.close()


@contextmanager
def writing(write: Callable[[psycopg.Connection[Any], Random, int], None]) -> Iterator[Meanwhile]:
    """Meanwhile this is written over and over, on a connection of its own."""
    random = Random(1)
    with second_connection() as other:
        other.autocommit = True
        with Meanwhile(lambda number: write(other, random, number)) as writer:
            yield writer


def write_both(other: psycopg.Connection[Any], random: Random, number: int) -> None:
    """A correct dual writer: change, remove or add a note on both sides in one transaction."""
    title = f"n{random.randrange(NOTES):04}"
    with other.transaction():
        other.execute("SELECT set_config('migration_ops.origin', 'engine', true)")
        other.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [title])
        other.execute("DELETE FROM legacy_notes WHERE title = %s", [title])
        other.execute("DELETE FROM modern_notes WHERE title = %s", [title])
        if random.random() < 0.8:
            body = f"v{number}"
            other.execute("INSERT INTO legacy_notes (notebook, title, body) VALUES ('home', %s, %s)", [title, body])
            other.execute(
                "INSERT INTO modern_notes (notebook, title, lines) VALUES ('home', %s, ARRAY[%s])", [title, body]
            )


def write_past_the_app(other: psycopg.Connection[Any], random: Random, number: int) -> None:
    title = f"n{random.randrange(NOTES):04}"
    other.execute("UPDATE legacy_notes SET body = %s WHERE title = %s", [f"v{number}", title])
    other.execute("SELECT pg_sleep(0.002)")


def test_no_false_alarm_under_a_dual_writer(notes: AnyMigration) -> None:
    fill(NOTES)
    copy_over(notes)

    with writing(write_both) as writer:
        results = []
        while len(results) < 5 or writer.done() < 300:
            results.append(validate_json())

    assert [(code, data["complete"], data["differences"]) for code, data in results] == [(0, True, [])] * len(results)


def test_no_false_alarm_while_the_applier_carries_over_what_others_write(notes: AnyMigration) -> None:
    fill(NOTES)
    copy_over(notes)
    begin_dual_write(notes)

    with Meanwhile(lambda _: drain(notes)) as applier, writing(write_past_the_app) as writer:
        results = []
        while len(results) < 5 or writer.done() < 100:
            applier.done()
            results.append(validate_json())

    assert [(code, data["complete"], data["differences"]) for code, data in results] == [(0, True, [])] * len(results)
