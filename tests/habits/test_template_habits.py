"""Laws of applying a template: no mark of a habit that stays is lost, and twice is once."""

from __future__ import annotations

from collections import Counter
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habits.board import BLANK_WEEK, Board, BoardKey, Habit, InvalidHabitName, InvalidText
from habits.template_habits import Mode, applied, names_checked
from tests.habits import strategies

KEY = BoardKey(UUID(int=1), "지우", date(2025, 7, 21))
GREEN, RED = ("green",) * 7, ("red",) * 7

names = st.lists(strategies.habit_names(), max_size=8)
boards = strategies.boards(KEY, max_habits=8)


def stripped(board: Board) -> list[str]:
    return [habit.name.strip() for habit in board.habits]


def test_replacing_takes_the_order_of_the_template_and_keeps_the_marks_of_habits_that_stay() -> None:
    board = Board(KEY, habits=(Habit("물", GREEN, legacy_id=4), Habit("책", RED, legacy_id=2)))
    after = applied(board, ["책", "양치"], Mode.REPLACE)
    assert after.habits == (Habit("책", RED), Habit("양치"))
    assert after.habits[0].legacy_id == 2


def test_appending_keeps_every_habit_in_its_place_and_adds_those_that_are_missing() -> None:
    board = Board(KEY, habits=(Habit("물", GREEN), Habit("책", RED)))
    after = applied(board, ["책", "아침 (6-9시) 양치"], Mode.APPEND)
    assert after.habits == (*board.habits, Habit("아침 (6-9시) 양치", time_period="아침 (6-9시)"))


def test_of_habits_with_one_name_the_first_is_the_first_and_the_second_the_second() -> None:
    board = Board(KEY, habits=(Habit("물", GREEN), Habit("책"), Habit("물 ", RED)))
    assert applied(board, ["물", "물", "물"], Mode.REPLACE).habits == (
        Habit("물", GREEN),
        Habit("물 ", RED),
        Habit("물"),
    )
    assert applied(board, ["물", "물", "물"], Mode.APPEND).habits == (*board.habits, Habit("물"))


@given(boards, names)
def test_appending_changes_nothing_that_is_there_and_adds_blank_habits_only(board: Board, wanted: list[str]) -> None:
    after = applied(board, wanted, Mode.APPEND)
    there = len(board.habits)
    assert all(one is other for one, other in zip(after.habits, board.habits, strict=False))
    assert len(after.habits) >= there
    assert all(habit.times == BLANK_WEEK for habit in after.habits[there:])
    assert Counter(stripped(after)) == Counter(stripped(board)) | Counter(name.strip() for name in wanted)


@given(boards, names)
def test_replacing_gives_exactly_the_templates_habits_and_loses_no_mark_it_could_keep(
    board: Board, wanted: list[str]
) -> None:
    after = applied(board, wanted, Mode.REPLACE)
    assert stripped(after) == [name.strip() for name in wanted]
    kept = [habit for habit in after.habits if any(habit is known for known in board.habits)]
    assert len({id(habit) for habit in kept}) == len(kept)
    shared = Counter(stripped(board)) & Counter(name.strip() for name in wanted)
    assert Counter(habit.name.strip() for habit in kept) == shared
    assert all(habit.times == BLANK_WEEK for habit in after.habits if not any(habit is known for known in kept))


@given(boards, names, st.sampled_from(Mode))
def test_applying_twice_is_applying_once_and_nothing_but_habits_changes(
    board: Board, wanted: list[str], mode: Mode
) -> None:
    once = applied(board, wanted, mode)
    assert applied(once, wanted, mode) == once
    assert (once.key, once.theme, once.reward, once.reflection) == (
        board.key,
        board.theme,
        board.reward,
        board.reflection,
    )


def test_names_that_no_habit_can_have_are_refused() -> None:
    for name in ("", "  \t", "가" * 201):
        with pytest.raises(InvalidHabitName):
            names_checked([name])
    with pytest.raises(InvalidText):
        names_checked(["물\x00"])
    assert names_checked(["물 ", "책"]) == ("물 ", "책")
