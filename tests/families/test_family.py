"""What a family does to its boards reaches both stores, whichever has the word."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from habits import family
from habits.board import BoardKey
from habits.family import Cell, Changed, Contents, Line, NoSuchBoard
from habits.migration import boards
from habits.stores.legacy_table import LegacyTableStore
from habits.stores.modern import ModernStore
from migration_ops import quarantine
from migration_ops.backfill import service
from migration_ops.definition import Side
from migration_ops.models import DirtyKey, Metric, QuarantineItem
from migration_ops.observe import metrics
from migration_ops.rollout.pinning import pinned
from migration_ops.rollout.routing import Reason
from migration_ops.sync import applier
from migration_ops.sync.dual_write import Outcome
from migration_ops.verify.validation import validate
from tests.engine.syncing import go_to_ramp, run
from tests.families.conftest import STAGES, Installation
from tests.habits.legacy_database import row
from tests.habits.legacy_files import OTHER as STRANGER
from tests.habits.legacy_files import OWNER

MONDAY = date(2025, 7, 21)
BLANK = ["none"] * 7
WEEK = Contents(theme="바다", reward="수영", habits=[Line("양치하기"), Line("책 읽기", ["green", *BLANK[1:]])])


def assert_equal_on_both_sides() -> None:
    found = validate(boards, actor="test")
    assert found.complete, found.reasons
    assert found.tally.differences == 0


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, installation: Installation) -> str:
    installation.reach(request.param)
    return str(request.param)


def test_a_week_is_made_marked_replaced_and_deleted(installation: Installation, stage: str) -> None:
    made = family.put(OWNER, "달이", MONDAY, WEEK)
    assert made.created
    marked = family.set_marks(OWNER, "달이", date(2025, 7, 24), [Cell(0, 3, "yellow"), Cell(1, 0, "none")])
    assert marked.board is not None
    assert [habit.times[3] for habit in marked.board.habits] == ["yellow", "none"]
    assert family.board(OWNER, "달이", MONDAY).board == marked.board
    assert installation.marks() == [[["", "", "", "yellow", "", "", ""], [""] * 7]]
    replaced = family.put(OWNER, "달이", MONDAY, Contents(habits=[Line("책 읽기", ["red", *BLANK[1:]])]))
    assert not replaced.created
    assert installation.marks() == [[["red", "", "", "", "", "", ""]]]
    if stage != "off":
        assert_equal_on_both_sides()
    family.delete(OWNER, "달이", MONDAY)
    assert installation.rows() == []
    with pytest.raises(NoSuchBoard):
        family.board(OWNER, "달이", MONDAY)
    assert ModernStore().absent([BoardKey(OWNER, "달이", MONDAY)])
    assert not DirtyKey.objects.exists()


def test_the_store_that_has_the_word_answers(installation: Installation, stage: str) -> None:
    family.put(OWNER, "달이", MONDAY, WEEK)
    expected = {
        "off": (Side.LEGACY, Reason.STAGE),
        "dual_write": (Side.LEGACY, Reason.STAGE),
        "ramp": (Side.MODERN, Reason.BUCKET),
        "live": (Side.MODERN, Reason.STAGE),
    }[stage]
    served = family.board(OWNER, "달이", MONDAY).served
    assert (served.side, served.reason) == expected


def test_lists_say_the_same_whichever_store_answers(installation: Installation, stage: str) -> None:
    for day in (MONDAY, date(2025, 8, 4)):
        family.put(OWNER, "달이", day, WEEK)
    family.put(OWNER, "별이", MONDAY, WEEK)
    family.put(STRANGER, "달이", date(2025, 9, 1), WEEK)
    assert [(child.name, child.weeks) for child in family.children(OWNER).children] == [("달이", 2), ("별이", 1)]
    assert [board.key.week_start for board in family.weeks(OWNER, " 달이 ").boards] == [MONDAY, date(2025, 8, 4)]
    stats = family.stats(OWNER, "달이", 1)
    assert [(week.week_start, week.score, week.max_score) for week in stats.weeks] == [(date(2025, 8, 4), 1, 14)]
    assert (stats.weekdays[0].green, stats.weekdays[0].none) == (1, 1)


def test_the_last_weeks_are_those_that_there_are_to_see(installation: Installation) -> None:
    """The latest row waits for a person and says nothing without one, so that the week is not counted."""
    unreadable = [{"id": 1, "name": "물 마시기", "times": ["blue", *[""] * 6]}]
    installation.insert(
        row(1, week_period="first", week_start_date="2025-07-21"),
        row(2, week_period="second", week_start_date="2025-07-28"),
        row(3, week_period="third", week_start_date="2025-08-04"),
        row(4, week_period="fourth", week_start_date="2025-08-11", habits=unreadable),
    )
    installation.reach("dual_write")
    applier.drain(boards)
    service.start(boards, service.Request(actor="test"))
    for percent in (0, 100):
        if percent:
            go_to_ramp(boards, percent=percent)
        for last, mondays in ((1, [4]), (2, [28, 4]), (3, [21, 28, 4]), (9, [21, 28, 4])):
            weeks = family.stats(OWNER, "달이", last).weeks
            assert [week.week_start.day for week in weeks] == mondays, (percent, last)
        assert len(family.week_list(OWNER, "달이").weeks) == 3


def test_a_week_that_was_deleted_is_gone_though_the_other_store_still_has_it(
    installation: Installation, settings: Any
) -> None:
    installation.reach("dual_write")
    for day in (MONDAY, date(2025, 8, 4)):
        family.put(OWNER, "달이", day, WEEK)
    settings.DUAL_WRITE = False
    family.delete(OWNER, "달이", MONDAY)
    assert DirtyKey.objects.count() == 1
    assert [(child.weeks, child.first_week.month) for child in family.children(OWNER).children] == [(1, 8)]
    assert [week.key.week_start.month for week in family.week_list(OWNER, "달이").weeks] == [8]


def test_statistics_are_compared_by_shadow_reads_too(in_both: None, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SHADOW_READ_PERCENT": 100, "SHADOW_READ_PATIENCE": timedelta(seconds=5)}
    family.put(OWNER, "달이", MONDAY, WEEK)
    run("UPDATE migration_ops_migrationstate SET stage = 'shadow', version = version + 1")
    metrics.flush()
    Metric.objects.all().delete()
    family.stats(OWNER, "달이", 1)
    run("UPDATE weeks SET theme = '산'")
    family.stats(OWNER, "달이", 1)
    metrics.flush()
    looks = Metric.objects.filter(name="shadow_read").values_list("outcome", "count")
    assert sorted(looks) == [("matched", 1), ("mismatched", 1)]


@pytest.mark.parametrize("side", Side)
def test_weeks_that_are_not_shown_are_not_read(table: Installation, side: Side) -> None:
    table.reach("dual_write")
    for day in (MONDAY, date(2025, 8, 4)):
        family.put(OWNER, "달이", day, WEEK)
    with pinned(side), CaptureQueriesContext(connection) as asked:
        assert len(family.stats(OWNER, "달이", 1).weeks) == 1
    said = "\n".join(query["sql"] for query in asked)
    assert "2025-08-04" in said
    assert "2025-07-21" not in said


@pytest.mark.parametrize("side", Side)
def test_whether_anything_is_an_exception_is_asked_once_a_read(table: Installation, side: Side) -> None:
    table.reach("dual_write")
    family.put(OWNER, "달이", MONDAY, WEEK)
    left_behind = 1 if side is Side.LEGACY else 0  # rows that are listed there although nothing of them can be shown
    for read, times in (
        (lambda: family.children(OWNER), 1 + left_behind),
        (lambda: family.week_list(OWNER, "달이"), 1),
        (lambda: family.weeks(OWNER, "달이"), 1),
        (lambda: family.board(OWNER, "달이", MONDAY), 1),
    ):
        with pinned(side), CaptureQueriesContext(connection) as asked:
            read()
        assert len([query for query in asked if "quarantine" in query["sql"] or "dirtykey" in query["sql"]]) == times


def test_a_child_of_another_family_does_not_exist(installation: Installation, stage: str) -> None:
    family.put(STRANGER, "달이", MONDAY, WEEK)
    assert family.children(OWNER).children == ()
    for attempt in (
        lambda: family.weeks(OWNER, "달이"),
        lambda: family.board(OWNER, "달이", MONDAY),
        lambda: family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 0, "red")]),
        lambda: family.delete(OWNER, "달이", MONDAY),
    ):
        with pytest.raises(NoSuchBoard):
            attempt()


def test_two_families_with_a_child_of_one_name_both_keep_their_weeks(installation: Installation, stage: str) -> None:
    """The legacy table has one row a name and period, whoever owns it."""
    family.put(OWNER, "달이", MONDAY, WEEK)
    family.put(STRANGER, "달이", MONDAY, Contents(theme="산"))
    assert family.board(OWNER, "달이", MONDAY).board.theme == "바다"
    assert family.board(STRANGER, "달이", MONDAY).board.theme == "산"
    assert len(installation.rows()) == 2


def test_a_board_that_changed_since_it_was_seen_is_not_written_over(installation: Installation) -> None:
    installation.reach("dual_write")
    seen = family.put(OWNER, "달이", MONDAY, WEEK).board
    assert seen is not None
    family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 0, "red")])
    with pytest.raises(Changed):
        family.put(OWNER, "달이", MONDAY, Contents(), seen=family.tag(seen))
    with pytest.raises(Changed):
        family.put(OWNER, "달이", MONDAY, Contents(), must_exist=False)
    assert family.board(OWNER, "달이", MONDAY).board.habits[0].times[0] == "red"


def test_a_held_week_is_read_from_legacy_and_marked_there_at_every_percentage(installation: Installation) -> None:
    """One of its rows waits for a person: modern has no copy, and the rejected row stays as it is."""
    installation.insert(
        row(1, week_period="first"),
        row(2, week_period="second", habits=[{"id": 1, "name": "물 마시기", "times": ["blue", *[""] * 6]}]),
    )
    installation.reach("dual_write")
    applier.drain(boards)
    service.start(boards, service.Request(actor="test"))
    for percent in (0, 100):
        if percent:
            go_to_ramp(boards, percent=percent)
        served = family.board(OWNER, "달이", MONDAY)
        assert (served.served.side, served.served.reason) == (Side.LEGACY, Reason.QUARANTINED)
        assert [habit.name for habit in served.board.habits] == ["양치하기"]
        assert [board.key.week_start for board in family.weeks(OWNER, "달이").boards] == [MONDAY]
        written = family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 6, "red" if percent else "green")])
        assert written.outcome is Outcome.HELD
    assert installation.marks() == [
        [["green", "", "", "", "", "", "red"]],
        [["blue", "", "", "", "", "", ""]],
    ]
    assert ModernStore().absent([BoardKey(OWNER, "달이", MONDAY)])


def test_a_week_whose_only_row_was_left_behind_is_listed_nowhere(installation: Installation) -> None:
    """Somebody accepted that it cannot be represented. What cannot be opened is no week of the child."""
    installation.insert(
        row(1001, habits=[{"id": 1, "name": "물 마시기", "times": ["blue", *[""] * 6]}]),
        row(1002, week_start_date="2025-07-14", week_period="2025년 7월 14일 ~ 2025년 7월 20일"),
    )
    installation.reach("dual_write")
    service.start(boards, service.Request(actor="test"))
    quarantine.accept(boards, list(QuarantineItem.objects.values_list("pk", flat=True)), actor="test")
    for percent in (0, 100):
        if percent:
            go_to_ramp(boards, percent=percent)
        (child,) = family.children(OWNER).children
        assert (child.weeks, child.first_week, child.last_week) == (1, date(2025, 7, 14), date(2025, 7, 14))
        assert len(family.weeks(OWNER, "달이").boards) == len(family.week_list(OWNER, "달이", last=5).weeks) == 1
        with pytest.raises(NoSuchBoard):
            family.board(OWNER, "달이", MONDAY)


def test_rows_that_are_known_make_the_same_board_as_rows_that_were_found(table: Installation) -> None:
    table.insert(row(1, week_period="first"), row(2, week_period="second", theme="바다"))
    key, store = BoardKey(OWNER, "달이", MONDAY), LegacyTableStore()
    assert store.load_rows([key], ["1", "2", "77"]) == store.load([key])
    assert store.load_rows([BoardKey(OWNER, "별이", MONDAY)], ["1", "2"]).documents == []
