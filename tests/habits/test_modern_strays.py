"""Habits without a week and records without a habit: found and removed, and nothing else with them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from habits.board import Board, BoardKey, Habit
from habits.stores.modern import ModernStore
from migration_ops.definition import FindsStrays
from tests.engine.waiting import InThread, until_somebody_waits
from tests.habits.legacy_database import query, second_connection

OWNER = UUID(int=1)
MONDAY = date(2025, 7, 21)

store = ModernStore()


def execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def fill() -> None:
    """Three weeks of two habits each; then the first week is deleted, and one habit of the second."""
    store.save(
        Board(BoardKey(OWNER, "지우", MONDAY + timedelta(weeks=week)), habits=(Habit("읽기"), Habit("양치")))
        for week in range(3)
    )
    execute("DELETE FROM weeks WHERE week_start_date = %s", MONDAY)
    execute(
        "DELETE FROM habits WHERE name = '양치' AND week_id = (SELECT id FROM weeks WHERE week_start_date = %s)",
        MONDAY + timedelta(weeks=1),
    )


@pytest.fixture
def deleted(db: None) -> None:
    fill()


@pytest.fixture
def committed(transactional_db: None) -> None:
    fill()


def contents(table: str) -> dict[str, str]:
    return dict(query(f"SELECT id::text, t::text FROM {table} t ORDER BY id"))


@pytest.mark.usefixtures("deleted")
def test_what_hangs_on_a_stray_is_one_and_dependents_come_first() -> None:
    assert isinstance(store, FindsStrays)
    assert [(stray.table, stray.rows) for stray in store.strays()] == [("habit_records", 21), ("habits", 2)]


@pytest.mark.usefixtures("deleted")
@pytest.mark.parametrize("limit", [5, 100])
def test_exactly_they_are_removed_and_what_they_were_is_returned(limit: int) -> None:
    boards = store.load([BoardKey(OWNER, "지우", MONDAY + timedelta(weeks=week)) for week in range(3)]).by_key()
    before = {table: contents(table) for table in ("children", "weeks", "habits", "habit_records")}
    execute("UPDATE habit_records SET note = '메모' WHERE id = (SELECT min(id::text)::uuid FROM habit_records)")
    removed: dict[str, dict[str, Any]] = {}
    for stray in store.strays():
        while rows := store.remove_strays(stray.table, limit):
            assert len(rows) <= limit
            removed.setdefault(stray.table, {}).update({row.row: row.image for row in rows})

    assert store.strays() == []
    assert {table: len(rows) for table, rows in removed.items()} == {"habit_records": 21, "habits": 2}
    assert store.load(list(boards)).by_key() == boards
    for table, rows in before.items():
        assert set(contents(table)) == set(rows) - set(removed.get(table, {}))
    habit = next(iter(removed["habits"].values()))
    assert set(habit) >= {"id", "week_id", "name", "time_period", "display_order", "legacy_id"}
    assert {image["note"] for image in removed["habit_records"].values()} == {None, "메모"}


@pytest.mark.usefixtures("deleted")
def test_they_can_be_removed_while_foreign_keys_hold_for_new_rows() -> None:
    execute("ALTER TABLE habit_records ADD CONSTRAINT a FOREIGN KEY (habit_id) REFERENCES habits NOT VALID")
    execute("ALTER TABLE habits ADD CONSTRAINT b FOREIGN KEY (week_id) REFERENCES weeks NOT VALID")

    for stray in store.strays():
        store.remove_strays(stray.table, stray.rows)

    assert store.strays() == []


@pytest.mark.usefixtures("committed")
def test_those_that_others_have_locked_are_left_and_the_rest_goes() -> None:
    with second_connection() as other, other.transaction():
        ((locked,),) = other.execute(
            "SELECT id FROM habits WHERE NOT EXISTS (SELECT FROM weeks WHERE weeks.id = week_id)"
            " ORDER BY id LIMIT 1 FOR UPDATE"
        ).fetchall()
        removed = InThread(lambda: store.remove_strays("habits", 10)).outcome()

    assert len(removed) == 1
    assert removed[0].row != str(locked)
    assert [(stray.table, stray.rows) for stray in store.strays()][-1] == ("habits", 1)


@pytest.mark.usefixtures("committed")
def test_a_habit_that_gets_a_week_while_its_removal_waits_is_left_alone() -> None:
    """It has locked them and waits for the table: whoever holds it in this mode lets rows be locked, not deleted."""
    with second_connection() as other:
        with other.transaction():
            other.execute(
                "INSERT INTO weeks (id, user_id, child_id, week_start_date, week_end_date)"
                " SELECT DISTINCT week_id, user_id, children.id, %s::date, %s::date FROM children, habits"
                "  WHERE NOT EXISTS (SELECT FROM weeks WHERE weeks.id = week_id)",
                [MONDAY, MONDAY + timedelta(days=6)],
            )
            other.execute("LOCK TABLE habits IN SHARE MODE")
            removal = InThread(lambda: store.remove_strays("habits", 10))
            until_somebody_waits()
        assert removal.outcome() == []

    assert query("SELECT count(*) FROM habits JOIN weeks ON weeks.id = week_id AND week_start_date = %s", MONDAY) == [
        (2,)
    ]
