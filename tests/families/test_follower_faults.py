"""Whatever is wrong with the follower, the family's write succeeds in time; the key is dirty, counted, mended later."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import pytest
from django.db import connection, transaction

from habits import family
from habits.board import BoardKey
from habits.family import Cell, Contents, Line
from habits.migration import boards
from migration_ops.models import DirtyKey, Metric
from migration_ops.observe import metrics
from migration_ops.sync import applier
from migration_ops.sync.dual_write import Outcome
from migration_ops.verify.validation import validate
from tests.engine.syncing import rows, run, second_connection
from tests.families.conftest import Installation
from tests.habits.legacy_files import OWNER

MONDAY = date(2025, 7, 21)
WEEK = Contents(habits=[Line("양치하기")])
IN_TIME = 2.0
"""Seconds in which a family has its answer though the follower fails, on a machine that does much else meanwhile. The
faults last for five seconds or for ever; how quick it is when there is time is measured by `bin/bench`."""

Fault = Callable[[], Iterator[None]]


@contextmanager
def sql_fault(break_it: str, mend_it: str) -> Iterator[None]:
    run(break_it)
    try:
        yield
    finally:
        run(mend_it)


@contextmanager
def locked(table: str) -> Iterator[None]:
    with second_connection() as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def refused(table: str, condition: str, name: str = "refused") -> Iterator[None]:
    return sql_fault(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


MODERN_FAULTS = {
    "weeks locked": ("55P03", lambda: locked("weeks")),
    "habit_records locked": ("55P03", lambda: locked("habit_records")),
    "check": ("23514", lambda: refused("habit_records", "status <> 'red'")),
    "not null": (
        "23502",
        lambda: sql_fault(
            "ALTER TABLE habit_records ADD more int NOT NULL DEFAULT 0;"
            " ALTER TABLE habit_records ALTER more DROP DEFAULT",
            "ALTER TABLE habit_records DROP more",
        ),
    ),
    "table missing": (
        "42P01",
        lambda: sql_fault("ALTER TABLE habit_records RENAME TO away", "ALTER TABLE away RENAME TO habit_records"),
    ),
    "trigger raises": (
        "P0001",
        lambda: sql_fault(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$;"
            "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON habit_records FOR EACH ROW EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refuse ON habit_records; DROP FUNCTION refuse()",
        ),
    ),
    "deferred trigger raises": (
        "P0001",
        lambda: sql_fault(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$;"
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON habit_records"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refuse ON habit_records; DROP FUNCTION refuse()",
        ),
    ),
    "slow": (
        "57014",
        lambda: sql_fault(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(5);"
            " RETURN NEW; END$$;"
            "CREATE TRIGGER dawdle BEFORE INSERT OR UPDATE ON habit_records"
            " FOR EACH STATEMENT EXECUTE FUNCTION dawdle()",
            "DROP TRIGGER dawdle ON habit_records; DROP FUNCTION dawdle()",
        ),
    ),
}


def counted() -> list[tuple[str, str, int]]:
    """Outcome, SQLSTATE and count of the writes so far."""
    assert metrics.flush()
    return sorted(Metric.objects.filter(name="write").values_list("outcome", "sqlstate", "count"))


def mark_in_time(status: str) -> family.Written:
    began = time.monotonic()
    written = family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 0, status)])
    assert time.monotonic() - began < IN_TIME
    return written


def assert_mended() -> None:
    applier.drain(boards)
    assert not DirtyKey.objects.exists()
    found = validate(boards, actor="test")
    assert found.complete, found.reasons
    assert found.tally.differences == 0


@pytest.mark.parametrize("fault", MODERN_FAULTS)
def test_the_write_outlives_a_modern_follower(installation: Installation, fault: str) -> None:
    installation.reach("dual_write")
    family.put(OWNER, "달이", MONDAY, WEEK)
    metrics.flush()
    Metric.objects.all().delete()
    sqlstate, broken = MODERN_FAULTS[fault]
    # A new habit inserts marks, a mark updates one: between them every kind of fault is met.
    status = "red"
    with broken():
        began = time.monotonic()
        written = family.put(
            OWNER, "달이", MONDAY, Contents(habits=[Line("양치하기", [status, *["none"] * 6]), Line("새 습관")])
        )
        assert time.monotonic() - began < IN_TIME
        assert written.outcome is Outcome.FAILED
        assert counted() == [("failed", sqlstate, 1)]
    assert installation.marks() == [[["red", "", "", "", "", "", ""], [""] * 7]]
    assert [(d.side, d.key) for d in DirtyKey.objects.all()] == [
        ("legacy", boards.encode_key(BoardKey(OWNER, "달이", MONDAY)))
    ]
    assert_mended()


LEGACY_FAULTS = {
    "locked": ("55P03", lambda: locked("habit_tracker")),
    "check": ("23514", lambda: refused("habit_tracker", "habits::text NOT LIKE '%red%'")),
    "missing": (
        "42P01",
        lambda: sql_fault("ALTER TABLE habit_tracker RENAME TO away", "ALTER TABLE away RENAME TO habit_tracker"),
    ),
}


@pytest.mark.parametrize("fault", LEGACY_FAULTS)
@pytest.mark.parametrize("stage", ["ramp", "live"])
def test_the_write_outlives_a_legacy_follower(table: Installation, stage: str, fault: str) -> None:
    table.reach(stage)
    family.put(OWNER, "달이", MONDAY, WEEK)
    metrics.flush()
    Metric.objects.all().delete()
    sqlstate, broken = LEGACY_FAULTS[fault]
    with broken():
        assert mark_in_time("red").outcome is Outcome.FAILED
        assert counted() == [("failed", sqlstate, 1)]
        assert family.board(OWNER, "달이", MONDAY).board.habits[0].times[0] == "red"
    assert [d.side for d in DirtyKey.objects.all()] == ["modern"]
    assert_mended()
    assert table.marks() == [[["red", "", "", "", "", "", ""]]]


@contextmanager
def folder_locked(installation: Installation) -> Iterator[None]:
    """Another process is rewriting the file."""
    assert installation.file is not None
    descriptor = os.open(installation.file.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def file_away(installation: Installation) -> Iterator[None]:
    assert installation.file is not None
    away = installation.file.with_suffix(".away")
    installation.file.rename(away)
    try:
        yield
    finally:
        away.rename(installation.file)


def test_the_applier_does_not_hold_a_key_for_as_long_as_somebody_holds_the_file(file: Installation) -> None:
    """The family's next write of the week waits for that key."""
    file.reach("ramp")
    with folder_locked(file):
        family.put(OWNER, "달이", MONDAY, WEEK)
        run("UPDATE migration_ops_dirtykey SET not_before = NULL")
        began = time.monotonic()
        assert applier.drain(boards).failed == 1
        assert time.monotonic() - began < IN_TIME
    run("UPDATE migration_ops_dirtykey SET not_before = NULL")
    assert_mended()


@pytest.mark.parametrize("broken", [folder_locked, file_away])
@pytest.mark.parametrize("stage", ["ramp", "live"])
def test_the_write_outlives_a_file_that_follows(
    file: Installation, stage: str, broken: Callable[[Installation], Iterator[None]]
) -> None:
    file.reach(stage)
    metrics.flush()
    Metric.objects.all().delete()
    family.put(OWNER, "달이", MONDAY, WEEK)
    with broken(file):
        assert mark_in_time("red").outcome is Outcome.LATER
        metrics.flush()
        afterwards = Metric.objects.filter(name="second_write").values_list("outcome", "count")
        assert sorted(afterwards) == [("both", 1), ("failed", 1)]
        assert family.board(OWNER, "달이", MONDAY).board.habits[0].times[0] == "red"
    assert [d.side for d in DirtyKey.objects.all()] == ["modern"]
    run("UPDATE migration_ops_dirtykey SET not_before = NULL")
    assert_mended()
    assert file.marks() == [[["red", "", "", "", "", "", ""]]]


def test_a_second_write_that_the_applier_took_first_is_left_to_it(file: Installation) -> None:
    file.reach("live")
    metrics.flush()
    Metric.objects.all().delete()
    with second_connection() as applier_at_work:
        with transaction.atomic():
            transaction.on_commit(
                lambda: applier_at_work.execute("SELECT FROM migration_ops_dirtykey FOR UPDATE").fetchall()
            )
            family.put(OWNER, "달이", MONDAY, WEEK)
        metrics.flush()
        afterwards = Metric.objects.filter(name="second_write").values_list("outcome", "count")
        assert list(afterwards) == [("taken", 1)]
    assert_mended()


def test_the_break_glass_switch_leaves_the_follower_alone_and_the_key_dirty(
    installation: Installation, settings: object
) -> None:
    installation.reach("dual_write")
    family.put(OWNER, "달이", MONDAY, WEEK)
    settings.DUAL_WRITE = False  # type: ignore[attr-defined]
    written = family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 0, "red")])
    assert written.outcome is Outcome.SWITCHED_OFF
    assert rows("SELECT count(*) FROM habit_records WHERE status = 'red'") == [(0,)]
    assert DirtyKey.objects.count() == 1
    assert_mended()


def test_a_store_that_says_something_else_than_it_was_told_is_found_out_at_once(table: Installation) -> None:
    """A trigger changes what is written; the comparison after the write sees it."""
    table.reach("dual_write")
    family.put(OWNER, "달이", MONDAY, WEEK)
    with sql_fault(
        "CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.status := 'green'; RETURN NEW; END$$;"
        "CREATE TRIGGER bend BEFORE UPDATE ON habit_records FOR EACH ROW EXECUTE FUNCTION bend()",
        "DROP TRIGGER bend ON habit_records; DROP FUNCTION bend()",
    ):
        assert family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 0, "red")]).outcome is Outcome.DIFFERENT
    assert DirtyKey.objects.count() == 1
    assert_mended()
    assert rows("SELECT count(*) FROM habit_records WHERE status = 'red'") == [(1,)]
    assert connection.in_atomic_block is False
