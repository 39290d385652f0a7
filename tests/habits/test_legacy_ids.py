"""Legacy ids of habits: a change of them is found, and whatever travels between the stores keeps them in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from habits.board import (
    Board,
    BoardKey,
    add_habit,
    mark,
    move_habit,
    remove_habit,
    rename_habit,
)
from habits.migration import boards as migration
from habits.stores.legacy_table import LegacyTableStore
from habits.stores.modern import ModernStore
from migration_ops.definition import AnyMigration, FieldDifference, Side
from migration_ops.sync import carry
from migration_ops.sync.dual_write import Outcome, writing
from migration_ops.verify.compare import Kind, judge
from tests.engine.syncing import begin_dual_write, go_to_live
from tests.habits.legacy_database import insert, prepare, query, row
from tests.habits.legacy_strategies import OWNER

KEY = BoardKey(OWNER, "달이", date(2025, 7, 21))

law = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
legacy, modern = LegacyTableStore(), ModernStore()

Change = Callable[[Board], Board]


def somewhere(change: Callable[[Board, int], Board]) -> st.SearchStrategy[Change]:
    """The change at any position, or none where the board is empty."""
    return st.integers(0, 20).map(
        lambda number: lambda board: change(board, number % len(board.habits)) if board.habits else board
    )


def twice(board: Board, position: int) -> Board:
    """The habit stands there a second time, with its marks but without the id."""
    copy = replace(board.habits[position], legacy_id=None)
    return replace(board, habits=(*board.habits[:position], copy, *board.habits[position:]))


changes = st.one_of(
    st.sampled_from(["가", "나"]).map(lambda name: lambda board: add_habit(board, name)),
    somewhere(lambda board, position: rename_habit(board, position, "다")),
    somewhere(lambda board, position: move_habit(board, position, 0)),
    somewhere(remove_habit),
    somewhere(twice),
    somewhere(lambda board, position: mark(board, position, 2, "red")),
)


def found() -> list[FieldDifference]:
    """What a validation would find."""
    verdict = judge(migration, in_legacy(), in_modern())
    assert verdict.kind in (Kind.MATCHED, Kind.MISMATCHED)
    return list(verdict.fields)


def in_legacy() -> Board | None:
    return legacy.load([KEY]).by_key().get(KEY)


def in_modern() -> Board | None:
    return modern.load([KEY]).by_key().get(KEY)


def rows_of_modern() -> list[tuple[Any, ...]]:
    """All of a board's rows but the legacy ids."""
    return query(
        "SELECT w::text, to_jsonb(h) - 'legacy_id', r::text FROM weeks w LEFT JOIN habits h ON h.week_id = w.id"
        " LEFT JOIN habit_records r ON r.habit_id = h.id ORDER BY w.id, h.id, r.id"
    )


def carried_from_modern() -> None:
    carry.from_modern(migration, [KEY], conflicts=(), at=timezone.now())


@pytest.mark.django_db
@law
@given(
    st.lists(st.tuples(st.sampled_from("가나"), st.one_of(st.none(), st.integers(1, 5)), st.booleans()), max_size=5),
    st.lists(st.lists(changes, max_size=4), min_size=1, max_size=3),
)
def test_after_any_changes_in_modern_were_carried_over_a_validation_finds_nothing(
    said: list[tuple[str, int | None, bool]], rounds: list[list[Change]]
) -> None:
    """And nothing of modern is other than it was but the ids."""
    with transaction.atomic():
        prepare()
        habits = [
            {"name": name, "times": ["green" if marked else ""] * 7, **({} if number is None else {"id": number})}
            for name, number, marked in said
        ]
        insert(row(1, habits=habits), row(2, habits=habits[:2]))
        carry.from_legacy(migration, [KEY], conflicts=(), at=timezone.now())
        assert found() == []
        for changed in rounds:
            board = in_modern()
            assert board is not None
            for change in changed:
                board = change(board)
            modern.save([board])
            before = rows_of_modern()
            carried_from_modern()
            assert rows_of_modern() == before
            assert (in_legacy(), in_modern()) == (board, board)
            assert found() == []
            assert modern.save(legacy.load([KEY]).documents).written == 0
        transaction.set_rollback(True)


@pytest.fixture
def in_step(db: None) -> Board:
    """A board of two habits that are equal but for their ids, in both stores."""
    prepare()
    week = ["green"] * 7
    insert(row(1, habits=[{"id": 5, "name": "가", "times": week}, {"id": 6, "name": "가", "times": week}]))
    carry.from_legacy(migration, [KEY], conflicts=(), at=timezone.now())
    board = in_modern()
    assert board is not None
    return board


def legacy_ids() -> list[int | None]:
    return [number for (number,) in query("SELECT legacy_id FROM habits ORDER BY display_order")]


def test_a_habit_that_moved_among_its_like_keeps_its_row(in_step: Board) -> None:
    """Legacy says the same before and after, so its ids stay where they are, and modern's follow them."""
    modern.save([move_habit(in_step, 0, 1)])
    assert legacy_ids() == [6, 5]
    before = rows_of_modern()
    carried_from_modern()
    assert (rows_of_modern(), legacy_ids(), found()) == (before, [5, 6], [])


@pytest.mark.parametrize("number", [7, None])
def test_a_changed_id_is_found_and_carrying_the_board_over_mends_it_either_way(
    in_step: Board, number: int | None
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE habits SET legacy_id = %s WHERE display_order = 1", [number])
    assert found() == [FieldDifference("habits[1].legacy_id", 6, number)]
    with transaction.atomic():
        carry.from_legacy(migration, [KEY], conflicts=(), at=timezone.now())
        assert (found(), legacy_ids()) == ([], [5, 6])
        transaction.set_rollback(True)
    before = rows_of_modern()
    carried_from_modern()
    assert (found(), legacy_ids(), rows_of_modern()) == ([], [5, 6], before)


@pytest.mark.parametrize("go_on", [lambda _: None, go_to_live])
def test_a_dual_write_keeps_the_ids_in_step_whichever_side_has_the_word(
    in_step: Board, go_on: Callable[[AnyMigration], None]
) -> None:
    begin_dual_write(migration)
    go_on(migration)
    with writing(migration, KEY) as draft:
        draft.document = add_habit(twice(draft.document, 0), "새로")
    assert draft.outcome is Outcome.BOTH
    assert draft.decision.side is (Side.LEGACY if go_on is not go_to_live else Side.MODERN)
    assert found() == []
    assert len(legacy_ids()) == 4
    assert None not in legacy_ids()
