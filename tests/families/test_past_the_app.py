"""What somebody changes by SQL while a family writes the same week is part of what is written, or kept for a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import pytest

from habits import family
from habits.board import Board, BoardKey, add_habit
from habits.family import Contents, Line
from habits.migration import boards
from habits.stores.legacy_table import LegacyTableStore
from habits.stores.modern import ModernStore
from migration_ops.definition import Batch
from migration_ops.models import BeforeImage
from migration_ops.sync import applier, dirty
from migration_ops.sync.carry import OvertakenError
from migration_ops.sync.dual_write import Outcome
from migration_ops.verify.validation import validate
from tests.engine.syncing import run, second_connection
from tests.engine.waiting import InThread, until_somebody_waits
from tests.families.conftest import Installation
from tests.habits.legacy_database import insert, row
from tests.habits.legacy_files import OWNER

MONDAY = date(2025, 7, 21)
KEY = BoardKey(OWNER, "달이", MONDAY)
WEEK = Contents(habits=[Line("양치하기")])
LATER = json.dumps([{"id": 1, "name": "양치하기", "times": []}, {"id": 2, "name": "by SQL", "times": []}])

APPENDED = "UPDATE habit_tracker SET habits = %s"
SAVED_BY_AN_OLD_CLIENT = """
WITH gone AS (DELETE FROM habit_tracker RETURNING child_name, week_period, week_start_date, user_id)
INSERT INTO habit_tracker (child_name, week_period, week_start_date, user_id, habits)
SELECT child_name, week_period || ' ', week_start_date, user_id, %s FROM gone
"""


@contextmanager
def somebody_writes(sql: str, *arguments: Any) -> Iterator[None]:
    """Until the end of the block somebody has written this and not yet committed it."""
    with second_connection() as other:
        other.execute(sql, arguments)
        yield
        other.commit()


def written_while(sql: str, *arguments: Any, write: Callable[[], Any]) -> Any:
    """What comes of a write that has to wait until somebody who wrote this has committed."""
    with somebody_writes(sql, *arguments):
        writing = InThread(write)
        until_somebody_waits()
    return writing.outcome()


def add_ours() -> family.Written:
    def added(board: Board) -> Board:
        return add_habit(board, "ours")

    return family.change(OWNER, "달이", MONDAY, added)


def names(installation: Installation) -> list[list[str]]:
    return [[entry["name"] for entry in week["habits"]] for week in installation.rows()]


def assert_equal_on_both_sides() -> None:
    applier.drain(boards)
    found = validate(boards, actor="test")
    assert (found.complete, found.tally.differences) == (True, 0)


def kept() -> list[tuple[str, list[str]]]:
    """What is kept of overruled boards: the side, and the names of the habits."""
    images = BeforeImage.objects.filter(cause="conflict")
    return [(image.side, [line["name"] for line in image.image["habits"]]) for image in images]


@pytest.mark.parametrize("sql", [APPENDED, SAVED_BY_AN_OLD_CLIENT], ids=["changed", "deleted and inserted"])
def test_a_line_that_is_just_being_added_to_the_row_is_not_written_over(table: Installation, sql: str) -> None:
    table.reach("dual_write")
    family.put(OWNER, "달이", MONDAY, WEEK)
    written = written_while(sql, LATER, write=add_ours)
    assert written.outcome is Outcome.BOTH
    assert names(table) == [["양치하기", "by SQL", "ours"]]
    assert_equal_on_both_sides()


@pytest.mark.parametrize("sql", [APPENDED, SAVED_BY_AN_OLD_CLIENT], ids=["changed", "deleted and inserted"])
def test_a_line_that_is_just_being_added_where_modern_has_the_word_is_kept(table: Installation, sql: str) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    assert written_while(sql, LATER, write=add_ours).outcome is Outcome.BOTH
    assert names(table) == [["양치하기", "ours"]]
    assert kept() == [("legacy", ["양치하기", "by SQL"])]
    assert_equal_on_both_sides()


def test_a_row_that_was_added_where_modern_has_the_word_is_kept(table: Installation) -> None:
    """Nobody has looked at it yet, so nothing but its content says that it belongs to this week."""
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    table.insert(row(1000, week_period="another", habits=json.loads(LATER)))
    assert add_ours().outcome is Outcome.BOTH
    assert names(table) == [["양치하기", "ours"]]
    assert kept() == [("legacy", ["양치하기", "by SQL"])]
    assert_equal_on_both_sides()


def edit(installation: Installation) -> None:
    """Add a line to the only week in the file, as somebody with an editor does."""
    assert installation.file is not None
    known = json.loads(installation.file.read_text(encoding="utf-8"))
    known["records"][0]["habits"].append({"id": 2, "name": "by hand", "times": []})
    installation.file.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")


def add_ours_while_somebody_edits(installation: Installation) -> family.Written:
    edits = iter([edit])

    def added(board: Board) -> Board:
        for edit_once in edits:
            edit_once(installation)
        return add_habit(board, "ours")

    return family.change(OWNER, "달이", MONDAY, added)


def test_a_line_that_is_added_to_the_file_during_a_write_is_not_written_over(file: Installation) -> None:
    """No lock holds those who know none: the write sees that its week has changed, and begins anew."""
    file.reach("dual_write")
    family.put(OWNER, "달이", MONDAY, WEEK)
    assert add_ours_while_somebody_edits(file).outcome is Outcome.BOTH
    assert names(file) == [["양치하기", "by hand", "ours"]]
    assert_equal_on_both_sides()


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_line_that_nobody_has_noticed_in_the_file_yet_is_kept_where_modern_has_the_word(
    file: Installation, when: str
) -> None:
    file.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    if when == "before":
        edit(file)
        add_ours()
    else:
        add_ours_while_somebody_edits(file)
    assert names(file) == [["양치하기", "ours"]]
    assert kept() == [("legacy", ["양치하기", "by hand"])]
    assert_equal_on_both_sides()


class AddedTo(LegacyTableStore):
    """The legacy store, with a row that somebody adds right after a board was loaded for writing the first time."""

    def __init__(self, *added: dict[str, Any]) -> None:
        super().__init__()
        self._added = [*added]

    def load(self, keys: Collection[BoardKey], *, lock: bool = False) -> Batch[BoardKey, Board]:
        found = super().load(keys, lock=lock)
        while lock and self._added:
            added = InThread(partial(insert, self._added.pop()))
            added.outcome()
        return found


def test_a_row_that_is_added_right_before_a_change_in_modern_is_carried_over_is_kept(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    run("UPDATE habits SET name = 'in modern'")
    legacy = AddedTo(row(1000, week_period="another", habits=json.loads(LATER), user_id=str(OWNER)))
    applier.drain(replace(boards, legacy=lambda: legacy))
    assert kept() == [("legacy", ["양치하기", "by SQL"])]
    assert names(table) == [["in modern"]]
    dirty.retry_now(boards)
    assert_equal_on_both_sides()


def ours_while(by_sql: Callable[[], Any]) -> Callable[[Board], Board]:
    """Adds a line, and the first time somebody commits something between the reading and the writing."""
    left = [by_sql]

    def added(board: Board) -> Board:
        if left:
            InThread(left.pop()).outcome()
        return add_habit(board, "ours")

    return added


CHANGED_IN_MODERN = (
    "UPDATE habit_records SET status = 'red' WHERE record_date = '2025-07-23'",
    "UPDATE habits SET name = 'by SQL'",
)


@pytest.fixture(params=[None, False], ids=["followed", "not followed"])
def follower(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.DUAL_WRITE = request.param


@pytest.mark.parametrize("stage", ["ramp", "live"])
@pytest.mark.parametrize("sql", CHANGED_IN_MODERN, ids=["mark", "habit"])
def test_what_sql_changes_in_modern_while_a_family_writes_there_is_not_written_over(
    table: Installation, stage: str, sql: str, follower: None
) -> None:
    table.reach(stage)
    family.put(OWNER, "달이", MONDAY, WEEK)
    written = family.change(OWNER, "달이", MONDAY, ours_while(partial(run, sql)))
    assert written.board is not None
    assert [habit.name for habit in written.board.habits][1:] == ["ours"]
    first = written.board.habits[0]
    assert "by SQL" in first.name or first.times[2] == "red"
    assert ModernStore().load([KEY]).documents == [written.board]
    assert_equal_on_both_sides()


@pytest.mark.parametrize("there", [True, False], ids=["one more row", "the first row"])
def test_a_row_that_is_added_while_a_family_writes_the_week_is_not_written_over(
    table: Installation, there: bool, follower: None
) -> None:
    table.reach("dual_write")
    if there:
        family.put(OWNER, "달이", MONDAY, WEEK)
    added = partial(
        insert, row(1000, week_period="another", habits=json.loads(LATER), user_id=str(OWNER), theme="by SQL")
    )
    written = family.change_or_begin(OWNER, "달이", MONDAY, ours_while(added))
    assert written.board is not None
    assert [habit.name for habit in written.board.habits] == ["양치하기", "by SQL", "ours"]
    assert written.board.theme == "by SQL"
    assert LegacyTableStore().load([KEY]).documents == [written.board]
    assert_equal_on_both_sides()


def test_whoever_is_overtaken_again_and_again_is_told_so_and_nothing_is_written_over(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    themes = iter(range(100))

    def added(board: Board) -> Board:
        InThread(partial(run, "UPDATE habits SET name = %s", f"by SQL {next(themes)}")).outcome()
        return add_habit(board, "ours")

    with pytest.raises(OvertakenError):
        family.change(OWNER, "달이", MONDAY, added)
    (board,) = ModernStore().load([KEY]).documents
    assert [habit.name for habit in board.habits] == [f"by SQL {next(themes) - 1}"]
