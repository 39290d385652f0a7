"""When a backfill holds back, and how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_ops.backfill import health
from migration_ops.backfill.health import Advice, Readings, Thresholds, decide
from migration_ops.backfill.monitor import Monitor, watched_tables
from migration_ops.definition import AnyMigration
from migration_ops.models import Run
from tests.engine.backfilling import make_run
from tests.engine.syncing import second_connection
from tests.engine.waiting import eventually

LIMITS = Thresholds(replica_lag=10, lock_waiters=5, oldest_transaction=300, longest_hold=60)


@pytest.mark.parametrize(
    ("readings", "held", "advice", "words"),
    [
        (Readings(), 0, Advice.GO, ""),
        (Readings(replica_lag=10.0), 0, Advice.GO, ""),
        (Readings(replica_lag=11.0), 0, Advice.HOLD, "a replica is 11 s behind"),
        (Readings(lock_waiters=4), 0, Advice.GO, ""),
        (Readings(lock_waiters=5), 0, Advice.HOLD, "5 sessions wait for locks"),
        (Readings(oldest_transaction=301.0), 0, Advice.HOLD, "a transaction is 301 s old"),
        (Readings(oldest_transaction=301.0), 59.9, Advice.HOLD, "Holding back"),
        (Readings(oldest_transaction=301.0), 60, Advice.CRAWL, "Going slowly"),
        (Readings(vacuumed=("modern_notes",)), 0, Advice.EASE, "a vacuum works on modern_notes"),
        (Readings(vacuumed=("modern_notes",), lock_waiters=9), 0, Advice.HOLD, "9 sessions"),
    ],
)
def test_what_to_do(readings: Readings, held: float, advice: Advice, words: str) -> None:
    verdict = decide(readings, LIMITS, held=held)
    assert verdict.advice is advice
    assert words in verdict.reason


@given(
    lag=st.none() | st.floats(0, 1e6),
    waiters=st.integers(0, 1_000),
    oldest=st.none() | st.floats(0, 1e6),
    vacuumed=st.lists(st.text(), max_size=3).map(tuple),
    held=st.floats(0, 1e6),
)
def test_whoever_does_not_simply_go_on_says_why_and_nobody_holds_for_ever(
    lag: float | None, waiters: int, oldest: float | None, vacuumed: tuple[str, ...], held: float
) -> None:
    readings = Readings(replica_lag=lag, lock_waiters=waiters, oldest_transaction=oldest, vacuumed=vacuumed)
    verdict = decide(readings, LIMITS, held=held)
    assert bool(verdict.reason) == (verdict.advice is not Advice.GO)
    if held >= LIMITS.longest_hold:
        assert verdict.advice is not Advice.HOLD


@pytest.fixture
def other(notes: AnyMigration) -> Iterator[psycopg.Connection]:
    with second_connection() as somebody:
        yield somebody


def test_a_quiet_database_is_well(notes: AnyMigration) -> None:
    found = health.read(make_run(notes).pk, watched_tables(notes))
    assert found.lock_waiters == 0
    assert found.vacuumed == ()


def test_an_old_transaction_of_somebody_else_is_seen(notes: AnyMigration, other: psycopg.Connection) -> None:
    run = make_run(notes)
    other.execute("SELECT 1")
    found = health.read(run.pk, watched_tables(notes))
    assert found.oldest_transaction is not None
    assert found.oldest_transaction > 0
    other.rollback()
    assert health.read(run.pk, watched_tables(notes)).oldest_transaction is None


def test_sessions_that_wait_for_a_row_of_ours_are_counted(notes: AnyMigration, other: psycopg.Connection) -> None:
    run = make_run(notes)
    other.execute("INSERT INTO legacy_notes (notebook, title, body) VALUES ('a', 'b', 'c')")
    other.commit()
    other.execute("UPDATE legacy_notes SET body = 'd'")

    def wait_for_it() -> None:
        with second_connection() as waiting:
            waiting.execute("UPDATE legacy_notes SET body = 'e'")

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    try:
        eventually(lambda: health.read(run.pk, watched_tables(notes)).lock_waiters == 1)
    finally:
        other.rollback()
        thread.join()
    assert health.read(run.pk, watched_tables(notes)).lock_waiters == 0


def test_a_vacuum_of_our_table_is_seen(notes: AnyMigration, other: psycopg.Connection) -> None:
    run = make_run(notes)
    other.execute("LOCK TABLE modern_notes IN SHARE UPDATE EXCLUSIVE MODE")
    assert health.read(run.pk, watched_tables(notes)).vacuumed == ("modern_notes",)
    other.rollback()


def test_tables_that_do_not_exist_are_no_failure(notes: AnyMigration) -> None:
    assert health.read(make_run(notes).pk, ("no_such_table",)).vacuumed == ()


def test_the_monitor_looks_at_most_once_an_interval_and_writes_why(notes: AnyMigration) -> None:
    run, moment, looks = make_run(notes), [0.0], []

    def readings(run_id: int, tables: object) -> Readings:
        looks.append(moment[0])
        return Readings(lock_waiters=9) if moment[0] < 100 else Readings()

    monitor = Monitor(run.pk, (), 1.0, read=readings, clock=lambda: moment[0])
    advice = []
    for now in (0.0, 0.5, 1.0, 30.0, 61.0, 61.5, 100.0):
        moment[0] = now
        advice.append(monitor.look().advice)
        if now < 100:
            assert "9 sessions" in Run.objects.get(pk=run.pk).hold_reason
    assert looks == [0.0, 1.0, 30.0, 61.0, 100.0]
    assert advice == [Advice.HOLD] * 4 + [Advice.CRAWL] * 2 + [Advice.GO]
    assert Run.objects.get(pk=run.pk).hold_reason == ""


def test_easing_halves_once_a_look_and_not_with_every_batch(notes: AnyMigration) -> None:
    moment = [0.0]
    monitor = Monitor(
        make_run(notes).pk, (), 1.0, read=lambda run, tables: Readings(vacuumed=("t",)), clock=lambda: moment[0]
    )
    first = monitor.look().advice
    moment[0] = 0.5
    assert (first, monitor.look().advice) == (Advice.EASE, Advice.GO)
