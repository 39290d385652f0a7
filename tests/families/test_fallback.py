"""Where modern has the word and cannot be read, legacy answers in the same request; never with a stale answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import Error, transaction

from habits import family
from habits.board import BoardKey
from habits.family import Cell, Contents, Line
from habits.migration import boards
from habits.stores.modern import ModernStore
from migration_ops import quarantine
from migration_ops.backfill import service
from migration_ops.definition import Side
from migration_ops.models import DirtyKey, Metric, QuarantineItem
from migration_ops.observe import metrics
from migration_ops.rollout import fallback, reading
from migration_ops.rollout.pinning import pinned
from migration_ops.rollout.routing import Decision, Reason
from migration_ops.sync import applier, dirty
from migration_ops.sync.dual_write import Outcome
from migration_ops.verify.validation import validate
from tests.engine.syncing import go_to_ramp, rows, run, second_connection
from tests.engine.waiting import InThread, eventually
from tests.families.conftest import Installation
from tests.families.test_follower_faults import locked, sql_fault
from tests.habits.legacy_database import row
from tests.habits.legacy_files import OWNER

MONDAY = date(2025, 7, 21)
KEY = BoardKey(OWNER, "달이", MONDAY)
WEEK = Contents(theme="바다", habits=[Line("양치하기", ["green", *["none"] * 6])])
PATIENCE = timedelta(milliseconds=150)
IN_TIME = 2.0
"""Seconds in which a family has its answer, on a machine that does much else; the faults last for longer."""


def hidden(*tables: str) -> AbstractContextManager[None]:
    """By policies that let nobody see a row of these tables."""

    def each(*words: str) -> str:
        return "; ".join(f"ALTER TABLE {table} {word} ROW LEVEL SECURITY" for table in tables for word in words)

    return sql_fault(each("ENABLE", "FORCE"), each("NO FORCE", "DISABLE"))


FAULTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "missing": ("42P01", lambda: sql_fault("ALTER TABLE weeks RENAME TO away", "ALTER TABLE away RENAME TO weeks")),
    "locked": ("55P03", lambda: locked("weeks")),
    "hidden": (
        "42501",
        lambda: hidden("weeks", "habits"),
    ),
    "slow": (
        "57014",
        lambda: sql_fault(
            "ALTER TABLE children RENAME TO away; CREATE VIEW children AS SELECT away.* FROM away, pg_sleep(10)",
            "DROP VIEW children; ALTER TABLE away RENAME TO children",
        ),
    ),
}


@pytest.fixture(autouse=True)
def short_patience(settings: Any) -> None:
    settings.MIGRATION_OPS = {"READ_PATIENCE": PATIENCE}


@contextmanager
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The code of the modern store stumbles over what is there."""

    def stumble(*_: Any, **__: Any) -> Any:
        raise ValueError("a status that nobody knows")

    with monkeypatch.context() as patched:
        patched.setattr(ModernStore, "load", stumble)
        yield


def counted(name: str = "read") -> list[tuple[str, str, str, str]]:
    """Store, outcome, SQLSTATE and cohort of what was counted since the last time."""
    assert metrics.flush()
    found = Metric.objects.filter(name=name).values_list("side", "outcome", "sqlstate", "cohort")
    said = sorted(set(found))
    Metric.objects.all().delete()
    return said


def served(answer: Decision) -> tuple[str, str]:
    return answer.side.value, answer.reason.value


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", ["ramp", "live"])
def test_every_kind_of_read_is_answered_by_legacy(installation: Installation, stage: str, fault: str) -> None:
    installation.reach(stage)
    written = family.put(OWNER, "달이", MONDAY, WEEK)
    assert [child.name for child in family.children(OWNER).children] == ["달이"]
    counted()
    sqlstate, broken = FAULTS[fault]
    reason = "bucket" if stage == "ramp" else "stage"
    with broken():
        for ask in (
            lambda: (family.board(OWNER, "달이", MONDAY).board, family.board(OWNER, "달이", MONDAY).served),
            lambda: (family.weeks(OWNER, "달이").boards[0], family.weeks(OWNER, "달이").served),
        ):
            began = time.monotonic()
            board, decision = ask()
            assert time.monotonic() - began < IN_TIME
            assert board == written.board
            assert served(decision) == ("legacy", "fallback")
        assert served(family.children(OWNER).served) == ("legacy", "fallback")
        assert set(counted()) == {("modern", "fallback", sqlstate, reason)}
    fallback.breaker_of.cache_clear()
    assert served(family.board(OWNER, "달이", MONDAY).served) == ("modern", reason)
    assert counted() == [("modern", "ok", "", reason)]


def test_whatever_the_code_of_the_modern_store_raises_legacy_answers(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.reach("ramp")
    written = family.put(OWNER, "달이", MONDAY, WEEK)
    with unreadable(monkeypatch):
        found = family.board(OWNER, "달이", MONDAY)
    assert (found.board, served(found.served)) == (written.board, ("legacy", "fallback"))
    assert counted() == [("modern", "fallback", "ValueError", "bucket")]


def test_a_board_that_modern_alone_can_know_is_not_answered_from_legacy(table: Installation) -> None:
    """SQL has made its legacy row one that cannot be represented, so what legacy shows is less than the truth."""
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    run("UPDATE habit_tracker SET habits = '7'")
    applier.drain(boards)
    assert served(family.board(OWNER, "달이", MONDAY).served) == ("modern", "bucket")
    with FAULTS["missing"][1](), pytest.raises(Error):
        family.board(OWNER, "달이", MONDAY)


def test_a_week_of_which_a_row_was_left_behind_by_decision_takes_no_list_away(table: Installation) -> None:
    table.insert(row(1001, week_period="odd", week_start_date="2025-07-14", habits=7))
    table.reach("dual_write")
    family.put(OWNER, "달이", MONDAY, WEEK)
    service.start(boards, service.Request(actor="test"))
    quarantine.accept(boards, list(QuarantineItem.objects.values_list("pk", flat=True)), actor="test")
    go_to_ramp(boards, percent=100)
    with FAULTS["missing"][1]():
        (child,) = family.children(OWNER).children
        assert (child.weeks, served(family.children(OWNER).served)) == (1, ("legacy", "fallback"))
        assert [board.key.week_start for board in family.weeks(OWNER, "달이").boards] == [MONDAY]


def test_where_legacy_keeps_a_read_waiting_as_well_it_ends_in_time(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    with FAULTS["missing"][1](), locked("habit_tracker"):
        began = time.monotonic()
        with pytest.raises(Error, match="weeks"):
            family.board(OWNER, "달이", MONDAY)
        assert time.monotonic() - began < IN_TIME


def test_a_pinned_read_stays_where_it_was_pinned_to(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    with FAULTS["missing"][1](), pinned(Side.MODERN), pytest.raises(Error):
        family.board(OWNER, "달이", MONDAY)


def test_a_legacy_that_fails_is_not_helped_out(table: Installation) -> None:
    table.reach("dual_write")
    family.put(OWNER, "달이", MONDAY, WEEK)
    counted()
    away = sql_fault("ALTER TABLE habit_tracker RENAME TO away", "ALTER TABLE away RENAME TO habit_tracker")
    with away, pytest.raises(Error):
        family.board(OWNER, "달이", MONDAY)
    assert counted() == [("legacy", "error", "42P01", "stage")]


def test_when_both_fail_the_error_is_moderns(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    away = sql_fault("ALTER TABLE habit_tracker RENAME TO gone", "ALTER TABLE gone RENAME TO habit_tracker")
    with away, FAULTS["missing"][1](), pytest.raises(Error, match="weeks"):
        family.board(OWNER, "달이", MONDAY)


def test_a_process_whose_reads_failed_often_asks_legacy_at_once_and_then_tries_one(
    table: Installation, settings: Any
) -> None:
    settings.MIGRATION_OPS = {
        "READ_PATIENCE": timedelta(milliseconds=300),
        "BREAKER_FAILURES": 2,
        "BREAKER_PAUSE": timedelta(seconds=60),
    }
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    counted()
    with locked("weeks"):
        reasons = [served(family.board(OWNER, "달이", MONDAY).served) for _ in range(2)]
        began = time.monotonic()
        reasons += [served(family.board(OWNER, "달이", MONDAY).served) for _ in range(10)]
        assert time.monotonic() - began < 3  # ten in a row that wait would take as long
    assert reasons == [("legacy", "fallback")] * 2 + [("legacy", "breaker")] * 10
    assert counted() == [
        ("modern", "fallback", "55P03", "bucket"),
        ("modern", "spared", "", "bucket"),
    ], "an outage says the same to the gate of reads with a breaker as without"
    assert served(family.board(OWNER, "달이", MONDAY).served) == ("legacy", "breaker")
    settings.MIGRATION_OPS = {**settings.MIGRATION_OPS, "BREAKER_PAUSE": timedelta(milliseconds=500)}
    with locked("weeks"):
        for _ in range(2):
            family.board(OWNER, "달이", MONDAY)
    eventually(lambda: served(family.board(OWNER, "달이", MONDAY).served) == ("modern", "bucket"))
    assert [served(family.board(OWNER, "달이", MONDAY).served) for _ in range(3)] == [("modern", "bucket")] * 3


def test_what_modern_alone_knows_is_asked_of_modern_though_it_is_left_alone(table: Installation, settings: Any) -> None:
    settings.MIGRATION_OPS = {"BREAKER_FAILURES": 1, "BREAKER_PAUSE": timedelta(seconds=60)}
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    with FAULTS["missing"][1]():
        family.board(OWNER, "달이", MONDAY)
    run("UPDATE weeks SET theme = '산'")
    found = family.board(OWNER, "달이", MONDAY)
    assert (found.board.theme, served(found.served)) == ("산", ("modern", "bucket"))
    assert [board.theme for board in family.weeks(OWNER, "달이").boards] == ["산"]


def test_a_read_in_somebodys_transaction_leaves_it_whole(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    with FAULTS["missing"][1](), transaction.atomic():
        run("SET LOCAL statement_timeout = '17s'")
        assert served(family.board(OWNER, "달이", MONDAY).served) == ("legacy", "fallback")
        run("CREATE TABLE still_whole AS SELECT current_setting('statement_timeout') AS patience")
    ((patience,),) = rows("SELECT patience FROM still_whole")
    run("DROP TABLE still_whole")
    assert patience == "17s"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", ["ramp", "live"])
def test_a_write_begins_from_legacy_and_is_carried_over_later(
    installation: Installation, stage: str, fault: str
) -> None:
    installation.reach(stage)
    family.put(OWNER, "달이", MONDAY, WEEK)
    counted()
    with FAULTS[fault][1]():
        began = time.monotonic()
        written = family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 1, "red")])
        assert time.monotonic() - began < IN_TIME
        assert (served(written.served), written.outcome) == (("legacy", "fallback"), Outcome.FAILED)
        assert installation.marks() == [[["green", "red", "", "", "", "", ""]]]
        assert family.board(OWNER, "달이", MONDAY).board == written.board
    assert [side for side, *_ in counted("write")] == ["legacy"]
    assert [notice.side for notice in DirtyKey.objects.all()] == ["legacy"]
    applier.drain(boards)
    assert not DirtyKey.objects.exists()
    found = validate(boards, actor="test")
    assert (found.complete, found.tally.differences) == (True, 0), found.reasons
    fallback.breaker_of.cache_clear()
    after = family.board(OWNER, "달이", MONDAY)
    assert (after.board, after.served.side) == (written.board, Side.MODERN)


def test_a_store_that_has_just_kept_a_write_waiting_is_not_asked_once_more(table: Installation, settings: Any) -> None:
    """Its key waits to be carried over, and that is tried before the write: one wait is enough for a family."""
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    patience = 1.5
    with locked("weeks"):
        family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 1, "red")])
        settings.MIGRATION_OPS = {"READ_PATIENCE": PATIENCE, "FOLLOWER_PATIENCE": timedelta(seconds=patience)}
        counted("write")
        began = time.monotonic()
        written = family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 2, "red")])
        assert patience <= time.monotonic() - began < 2 * patience
    assert (served(written.served), written.outcome) == (("legacy", "dirty"), Outcome.FAILED)
    assert counted("write") == [("legacy", "failed", "55P03", "dirty")]
    assert table.marks() == [[["green", "red", "red", "", "", "", ""]]]
    applier.drain(boards)
    assert not DirtyKey.objects.exists()
    assert validate(boards, actor="test").tally.differences == 0


def test_a_locked_table_keeps_a_write_waiting_once(table: Installation, settings: Any) -> None:
    """Not once for the row, once for the table, and once more for the second write."""
    table.reach("live")
    family.put(OWNER, "달이", MONDAY, WEEK)
    patience = 2.0
    settings.MIGRATION_OPS = {name: timedelta(seconds=patience) for name in ("READ_PATIENCE", "FOLLOWER_PATIENCE")}
    counted("write")
    with locked("weeks"):
        began = time.monotonic()
        written = family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 1, "red")])
        assert time.monotonic() - began < 1.5 * patience
    assert (served(written.served), written.outcome) == (("legacy", "fallback"), Outcome.FAILED)
    assert counted("write") == [("legacy", "failed", "55P03", "fallback")]
    applier.drain(boards)
    assert validate(boards, actor="test").tally.differences == 0


def test_a_new_week_begins_in_legacy_where_a_table_of_its_marks_is_locked(table: Installation) -> None:
    """There is nothing to be read, so only the lock itself tells."""
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    with locked("habit_records"):
        written = family.put(OWNER, "달이", MONDAY + timedelta(days=7), WEEK)
    assert (served(written.served), written.outcome) == (("legacy", "fallback"), Outcome.FAILED)
    applier.drain(boards)
    assert validate(boards, actor="test").tally.differences == 0


def test_what_a_policy_hides_in_modern_is_not_taken_for_gone(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    dirty.mark_keys(boards, [KEY], side=Side.MODERN)
    with hidden("habits"):
        with pytest.raises(Error, match="row-level security"):
            family.board(OWNER, "달이", MONDAY)
        assert applier.drain(boards).failed == 1
    assert table.marks() == [[["green", "", "", "", "", "", ""]]]


def test_a_write_whose_key_modern_alone_knows_is_refused(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    dirty.mark_keys(boards, [KEY], side=Side.MODERN)
    with FAULTS["missing"][1](), pytest.raises(Error, match="weeks"):
        family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 1, "red")])
    assert table.marks() == [[["green", "", "", "", "", "", ""]]]


def test_a_write_of_a_board_that_modern_alone_can_know_is_refused(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    table.insert(row(2, week_period="later", habits=7))
    applier.drain(boards)
    with FAULTS["missing"][1](), pytest.raises(Error, match="weeks"):
        family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 1, "red")])


def test_a_write_waits_for_whoever_changes_the_row_in_modern_and_does_not_write_over_it(table: Installation) -> None:
    """The lock of a row says that somebody changes it, not that modern cannot be read."""
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    with second_connection() as other:
        other.execute("UPDATE weeks SET theme = '산'")
        write = InThread(lambda: family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 1, "red")]))
        waits: set[Any] = set()

        def waits_again() -> bool:
            waits.update(
                rows("SELECT query_start FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'")
            )
            return len(waits) > 1

        eventually(waits_again)
        other.commit()
    written = write.outcome()
    assert served(written.served) == ("modern", "bucket")
    assert written.board.theme == "산"


def test_a_process_that_leaves_modern_alone_begins_its_writes_from_legacy_at_once(
    table: Installation, settings: Any
) -> None:
    settings.MIGRATION_OPS = {"BREAKER_FAILURES": 1, "BREAKER_PAUSE": timedelta(seconds=60)}
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    with FAULTS["missing"][1]():
        reading.document(boards, KEY)
    written = family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 1, "red")])
    assert (written.served.reason, written.outcome) == (Reason.BREAKER, Outcome.BOTH)
    run("UPDATE weeks SET theme = '산'")
    after = family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 2, "red")])
    assert after.board is not None
    assert (after.board.theme, after.served.side) == ("산", Side.MODERN)


def test_writes_are_counted_by_the_reason_and_the_step(table: Installation) -> None:
    table.reach("ramp")
    counted()
    family.put(OWNER, "달이", MONDAY, WEEK)
    assert metrics.flush()
    ((side, outcome, cohort, step),) = Metric.objects.filter(name="write").values_list(
        "side", "outcome", "cohort", "step"
    )
    ((now,),) = rows("SELECT step FROM migration_ops_migrationstate")
    assert (side, outcome, cohort, step) == ("modern", "both", "bucket", now)
