"""The board and the changes families make to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habits.board import (
    Board,
    BoardKey,
    Habit,
    InvalidHabitName,
    InvalidText,
    NoSuchDay,
    NoSuchPosition,
    Reflection,
    UnknownMark,
    add_habit,
    clear,
    decode_key,
    encode_key,
    fill_weekday,
    mark,
    monday_of,
    move_habit,
    normal_child_name,
    remove_habit,
    rename_habit,
    set_reflection,
    set_reward,
    set_theme,
    time_period_of,
)
from tests.habits.legacy_strategies import KEY, OWNER, boards, law

BOARD = Board(KEY, habits=(Habit("양치하기", legacy_id=7), Habit("책 읽기"), Habit("운동")))


def test_marking_a_cell_changes_that_cell_and_no_other() -> None:
    changed = mark(BOARD, 1, 6, "green")
    assert changed.habits[1].times == ("none",) * 6 + ("green",)
    assert (changed.habits[0], changed.habits[2]) == (BOARD.habits[0], BOARD.habits[2])
    assert BOARD.habits[1].times == ("none",) * 7


@law
@given(boards(), st.integers(0, 4), st.integers(0, 6))
def test_a_cleared_cell_is_blank_and_clearing_undoes_marking(board: Board, position: int, day: int) -> None:
    if position < len(board.habits):
        cleared = clear(board, position, day)
        assert cleared.habits[position].times[day] == "none"
        assert clear(mark(board, position, day, "red"), position, day) == cleared


def test_filling_a_weekday_marks_every_habit_on_that_day() -> None:
    filled = fill_weekday(BOARD, 2, "yellow")
    assert [habit.times[2] for habit in filled.habits] == ["yellow"] * 3
    assert [habit.times.count("yellow") for habit in filled.habits] == [1, 1, 1]


def test_a_new_habit_is_blank_last_and_knows_its_time_of_day() -> None:
    assert add_habit(BOARD, "저녁 (6-9시) 숙제").habits[-1] == Habit("저녁 (6-9시) 숙제", time_period="저녁 (6-9시)")


def test_a_renamed_habit_keeps_its_marks_and_its_legacy_id() -> None:
    renamed = rename_habit(mark(BOARD, 0, 0, "green"), 0, "아침 (6-9시) 양치").habits[0]
    assert (renamed.times[0], renamed.legacy_id, renamed.time_period) == ("green", 7, "아침 (6-9시)")


@pytest.mark.parametrize(("position", "to", "order"), [(0, 2, "120"), (2, 0, "201"), (1, 1, "012")])
def test_a_moved_habit_stands_where_it_was_put(position: int, to: int, order: str) -> None:
    moved = move_habit(BOARD, position, to)
    assert [habit.name for habit in moved.habits] == [BOARD.habits[int(place)].name for place in order]


def test_a_removed_habit_is_gone_and_the_others_stay() -> None:
    assert remove_habit(BOARD, 1).habits == (BOARD.habits[0], BOARD.habits[2])


def test_texts_can_be_set_and_emptied() -> None:
    board = set_reward(set_theme(set_reflection(BOARD, Reflection("월요일")), "주제"), "새 책")
    assert (board.theme, board.reward, board.reflection.best_day) == ("주제", "새 책", "월요일")
    assert set_theme(board, "").theme == ""


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda: mark(BOARD, 3, 0, "green"), NoSuchPosition),
        (lambda: mark(BOARD, -1, 0, "green"), NoSuchPosition),
        (lambda: mark(BOARD, 0, 7, "green"), NoSuchDay),
        (lambda: mark(BOARD, 0, -1, "green"), NoSuchDay),
        (lambda: mark(BOARD, 0, 0, "GREEN"), UnknownMark),
        (lambda: fill_weekday(BOARD, 0, ""), UnknownMark),
        (lambda: fill_weekday(BOARD, 9, "red"), NoSuchDay),
        (lambda: move_habit(BOARD, 0, 3), NoSuchPosition),
        (lambda: remove_habit(BOARD, -1), NoSuchPosition),
        (lambda: rename_habit(BOARD, 5, "운동"), NoSuchPosition),
        (lambda: add_habit(BOARD, " \n"), InvalidHabitName),
        (lambda: add_habit(BOARD, "가" * 201), InvalidHabitName),
        (lambda: rename_habit(BOARD, 0, "a\x00"), InvalidText),
        (lambda: set_theme(BOARD, "\ud800"), InvalidText),
        (lambda: set_reward(BOARD, "\x00"), InvalidText),
        (lambda: set_reflection(BOARD, Reflection(next_week_goal="\udfff")), InvalidText),
    ],
)
def test_an_impossible_change_is_refused_by_name(change: Callable[[], Board], error: type[Exception]) -> None:
    with pytest.raises(error):
        change()


def test_the_score_is_the_number_of_green_cells() -> None:
    board = fill_weekday(fill_weekday(BOARD, 0, "green"), 1, "yellow")
    assert (board.score, board.max_score) == (3, 21)


@law
@given(st.dates())
def test_a_week_begins_on_the_monday_on_or_before_a_day(day: date) -> None:
    if day.toordinal() > 7:
        monday = monday_of(day)
        assert monday.weekday() == 0
        assert 0 <= (day - monday).days < 7


@pytest.mark.parametrize(
    ("name", "band"),
    [
        ("아침 (6-9시) 양치하기", "아침 (6-9시)"),
        ("오전 (9-12시) 일기 쓰기.", "오전 (9-12시)"),
        ("점심 (12-1시)", "점심 (12-1시)"),
        ("아침 (6-9시)\n양치하기", "아침 (6-9시)"),
        (" 저녁\n(6 - 9시)숙제", "저녁 (6 - 9시)"),
        ("밤(9시)씻기", "밤(9시)"),
        ("오후 (1시~5시) 책", "오후 (1시~5시)"),
        ("밤 (21:00-22:30) 씻기", "밤 (21:00-22:30)"),
        ("피아노 연습(30분)", ""),
        ("아침 (30분) 운동", ""),
        ("아침 운동 (6-9시)", ""),
        ("아침밥 (6-9시)", ""),
        ("새벽 (4-6시) 기도", ""),
        ("줄넘기 {100회[목표]}", ""),
        ("오후 (5-6회) 줄넘기", ""),
        ("아침", ""),
        ("", ""),
    ],
)
def test_only_a_leading_part_of_the_day_with_hours_is_a_time_period(name: str, band: str) -> None:
    assert time_period_of(name) == band


def test_a_childs_name_is_the_same_however_it_was_typed() -> None:
    assert normal_child_name(" 달이\n") == normal_child_name("달이") == "달이"


def test_a_key_is_canonical_text_and_comes_back() -> None:
    key = BoardKey(OWNER, '달"이, [1]', date(2025, 7, 21))
    assert encode_key(key) == '["1710cf53-27ac-435a-ba97-c643656412a9","달\\"이, [1]","2025-07-21"]'
    assert decode_key(encode_key(key)) == key


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="no key"):
        decode_key('["a"]')


def test_where_a_habit_came_from_does_not_count_in_a_comparison() -> None:
    assert Habit("운동", legacy_id=1) == Habit("운동", legacy_id=2)
    assert replace(BOARD, theme="x") != BOARD
