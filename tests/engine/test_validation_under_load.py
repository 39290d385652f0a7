"""No false alarm while families write: both stores changed at once, or one changed and the applier behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any

import psycopg
from django.db import connection

from migration_ops.definition import AnyMigration
from migration_ops.sync.applier import drain
from tests.engine.syncing import begin_dual_write, second_connection
from tests.engine.validating import copy_over, fill, validate_json

NOTES = 120


@contextmanager
def meanwhile(step: Callable[[psycopg.Connection[Any], Random, int], None]) -> Iterator[list[int]]:
    """Run `step` over and over on a connection of its own; the list says how often so far."""
    stop = threading.Event()
    done = [0]
    failures: list[BaseException] = []

    def work() -> None:
        random = Random(1)
        try:
            with second_connection() as other:
                other.autocommit = True
                for number in count():
                    if stop.is_set():
                        return
                    step(other, random, number)
                    done[0] += 1
        except psycopg.Error as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
    assert not failures


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

    with meanwhile(write_both) as done:
        results = []
        while len(results) < 5 or done[0] < 300:
            results.append(validate_json())

    assert [(code, data["complete"], data["differences"]) for code, data in results] == [(0, True, [])] * len(results)


def test_no_false_alarm_while_the_applier_carries_over_what_others_write(notes: AnyMigration) -> None:
    fill(NOTES)
    copy_over(notes)
    begin_dual_write(notes)
    stop = threading.Event()

    def apply() -> None:
        try:
            while not stop.is_set():
                drain(notes)
        finally:
            connection.close()

    applier = threading.Thread(target=apply)
    applier.start()
    try:
        with meanwhile(write_past_the_app) as done:
            results = []
            while len(results) < 5 or done[0] < 100:
                results.append(validate_json())
    finally:
        stop.set()
        applier.join()

    assert [(code, data["complete"], data["differences"]) for code, data in results] == [(0, True, [])] * len(results)
