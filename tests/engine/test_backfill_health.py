"""When a backfill holds back, and how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_ops import conf
from migration_ops.backfill import completion, health
from migration_ops.backfill import lease as leases
from migration_ops.backfill.batch_size import BatchSize
from migration_ops.backfill.health import Advice, Readings, Thresholds, decide
from migration_ops.backfill.monitor import Monitor, watched_tables
from migration_ops.backfill.range_worker import Ending, RangeWorker
from migration_ops.backfill.stop import Stop
from migration_ops.backfill.worker import work
from migration_ops.definition import AnyMigration
from migration_ops.models import Run
from tests.engine.backfilling import fill, make_run
from tests.engine.syncing import begin_dual_write, second_connection
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
    nice=st.booleans(),
)
def test_whoever_does_not_simply_go_on_says_why_and_nobody_holds_for_ever(
    lag: float | None, waiters: int, oldest: float | None, vacuumed: tuple[str, ...], held: float, nice: bool
) -> None:
    readings = Readings(replica_lag=lag, lock_waiters=waiters, oldest_transaction=oldest, vacuumed=vacuumed)
    verdict = decide(readings, LIMITS, held=held, nice=nice)
    assert verdict.nice == nice
    assert bool(verdict.reason) == (nice or verdict.advice is not Advice.GO)
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


def test_sessions_of_others_are_seen_while_they_say_something_and_not_when_they_only_forgot_to_end(
    notes: AnyMigration, other: psycopg.Connection
) -> None:
    run = make_run(notes)

    def others() -> int:
        return health.read(run.pk, watched_tables(notes)).others

    def at_work() -> bool:
        other.execute("SELECT 1")
        return others() == 1

    assert others() == 0
    eventually(at_work)
    eventually(lambda: others() == 0)
    eventually(at_work)
    other.rollback()
    assert others() == 0


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


@pytest.mark.parametrize("mind_others", [True, False])
def test_others_that_were_seen_count_for_a_while_though_a_look_meets_none(
    notes: AnyMigration, mind_others: bool
) -> None:
    run, moment = make_run(notes), [0.0]

    def readings(run_id: int, tables: object) -> Readings:
        return Readings(others=2 if moment[0] == 1 else 0)

    monitor = Monitor(run.pk, (), 1.0, read=readings, clock=lambda: moment[0], mind_others=mind_others)
    nice = []
    for now in (0.0, 1.0, 1.5, 5.0, 10.9, 11.1, 60.0):
        moment[0] = now
        nice.append(monitor.look().nice)
        assert Run.objects.get(pk=run.pk).hold_reason == (health.BESIDE_OTHERS if nice[-1] else "")
    assert nice == [mind_others and seen for seen in (False, True, True, True, True, True, False)]


def test_a_vacuum_halves_batches_once_a_look_and_leaves_the_rests_beside_others(notes: AnyMigration) -> None:
    moment = [0.0]
    readings = Readings(vacuumed=("t",), others=1)
    monitor = Monitor(make_run(notes).pk, (), 1.0, read=lambda run, tables: readings, clock=lambda: moment[0])
    assert monitor.look() == decide(readings, LIMITS, held=0, nice=True)
    moment[0] = 0.5
    assert (monitor.look().advice, monitor.look().nice) == (Advice.GO, True)


class Counted(Stop):
    """Notes for how long it is asked to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.requested


@pytest.mark.parametrize("ratio", [0, 0.5, 4])
def test_beside_others_a_worker_rests_after_each_batch_but_the_last_for_the_time_that_is_set(
    notes: AnyMigration, other: psycopg.Connection, settings: Any, ratio: float
) -> None:
    settings.MIGRATION_OPS = {"NICE_RATIO": ratio}
    begin_dual_write(notes)
    fill(10)
    job, stop = completion.job_of(notes, make_run(notes), workers=1), Counted()
    spent = []

    def beat(*, now: bool = False) -> None:
        other.execute("SELECT 1")
        spent.append(time.monotonic())

    assert work(job, fixed=4, stop=stop, beat=beat) is Ending.DONE
    assert len(stop.waits) == (2 if ratio else 0)
    for rest in stop.waits:
        assert 0 < rest <= ratio * (spent[-1] - spent[0])
        assert rest <= 1


@pytest.mark.parametrize(("ratio", "target"), [(0, 0.15), (4, 0.03)])
def test_beside_others_batches_are_to_be_short_and_the_rests_count_in_the_speed_that_is_shown(
    notes: AnyMigration, other: psycopg.Connection, settings: Any, ratio: float, target: float
) -> None:
    settings.MIGRATION_OPS = {"NICE_RATIO": ratio}
    begin_dual_write(notes)
    fill(10)
    run = make_run(notes)
    lease = leases.claim_next(run.pk, conf.settings().lease)
    assert lease is not None
    rates: list[float] = []

    def beat(*, now: bool = False) -> None:
        other.execute("SELECT 1")
        rates.append(worker.size.rate or 0.0)

    size = BatchSize.adaptive(start=4, minimum=1, maximum=4, target=0.15)
    worker = RangeWorker(completion.job_of(notes, run, workers=1), lease, size, Counted(), beat)
    assert worker.run() is Ending.DONE
    assert worker.size.target == target
    assert worker.place is not None
    assert worker.place.counters.speed == pytest.approx(rates[-1] / (1 + ratio), abs=0.1)
