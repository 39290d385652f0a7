"""Which habit is which of the next version of its board."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habits.board import BLANK_WEEK, Habit, Mark
from habits.stores.habit_matching import matched

WEEKS: tuple[tuple[Mark, ...], ...] = (BLANK_WEEK, ("green",) * 7, ("red", *BLANK_WEEK[1:]))

lines = st.builds(
    Habit,
    st.sampled_from("ABC"),
    st.sampled_from(WEEKS),
    legacy_id=st.one_of(st.none(), st.integers(1, 6)),
)
boards = st.lists(lines, max_size=9)


@given(boards, boards)
def test_each_old_position_is_taken_once_at_most_and_nothing_is_left_that_fits(
    old: list[Habit], new: list[Habit]
) -> None:
    sources = matched(old, new)
    taken = [source for source in sources if source is not None]
    assert len(sources) == len(new)
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(range(len(old)))
    left = set(range(len(old))) - set(taken)
    unmatched = {position for position, source in enumerate(sources) if source is None}
    assert not left & unmatched
    assert not {old[source].name for source in left} & {new[position].name for position in unmatched}


@given(boards)
def test_nothing_moves_where_nothing_changed(board: list[Habit]) -> None:
    assert matched(board, list(board)) == list(range(len(board)))


@given(boards, boards)
def test_a_habit_whose_name_and_legacy_id_are_unchanged_is_matched_to_itself(
    old: list[Habit], new: list[Habit]
) -> None:
    before, after = Counter(map(identity, old)), Counter(map(identity, new))
    sources = matched(old, new)
    for position, habit in enumerate(new):
        if habit.legacy_id is not None and before[identity(habit)] == after[identity(habit)] == 1:
            source = sources[position]
            assert source is not None
            assert identity(old[source]) == identity(habit)


@given(st.lists(lines, max_size=9, unique_by=lambda habit: (habit.name, habit.times)), st.data())
def test_habits_of_one_name_are_told_apart_by_their_marks_when_some_move_and_some_go(
    old: list[Habit], data: st.DataObject
) -> None:
    old = [replace(habit, legacy_id=None) for habit in old]
    order = data.draw(st.permutations(range(len(old)))) if old else []
    order = order[: data.draw(st.integers(0, len(order)))]
    assert matched(old, [old[source] for source in order]) == order


@given(boards, st.data())
def test_a_habit_that_goes_takes_none_of_the_others_along(board: list[Habit], data: st.DataObject) -> None:
    """Those that are equal in everything cannot be told apart; whatever else stays is matched to its like."""
    if not board:
        return
    gone = data.draw(st.integers(0, len(board) - 1))
    left = board[:gone] + board[gone + 1 :]
    for habit, source in zip(left, matched(board, left), strict=True):
        assert source is not None
        assert (board[source], board[source].legacy_id) == (habit, habit.legacy_id)


def identity(habit: Habit) -> tuple[str, int | None]:
    return habit.name, habit.legacy_id


def board(*said: str) -> list[Habit]:
    """Habits written as name, number of the week of marks, legacy id: `A0-`, `A17`."""
    return [
        Habit(name, WEEKS[int(week)], legacy_id=None if number == "-" else int(number)) for name, week, number in said
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (["A01", "A02"], ["A02"], [1]),
        (["A01", "A12"], ["A12", "A01"], [1, 0]),
        (["A0-", "A1-"], ["A1-"], [1]),
        (["A01", "A12"], ["A1-"], [1]),
        (["A01", "A12"], ["A11"], [0]),
        (["A0-", "A1-"], ["A2-", "A1-"], [0, 1]),
        (["A0-", "B1-"], ["B0-", "A1-"], [1, 0]),
        (["A01", "B12"], ["X12", "Y01"], [1, 0]),
        (["A0-", "B1-"], ["A0-", "X1-"], [0, 1]),
        (["A01", "B12"], ["A0-", "A01", "B12"], [None, 0, 1]),
        (["A01", "B11"], ["X01", "Y11"], [0, 1]),
        ([], ["A0-"], [None]),
        (["A0-"], [], []),
    ],
)
def test_examples(old: list[str], new: list[str], expected: list[int | None]) -> None:
    assert matched(board(*old), board(*new)) == expected
