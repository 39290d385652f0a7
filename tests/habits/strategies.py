"""Boards of every kind, as hypothesis makes them up."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from habits.board import (
    BLANK_WEEK,
    FIRST_MONDAY,
    LAST_MONDAY,
    MAX_CHILD_NAME,
    MAX_HABIT_NAME,
    Board,
    BoardKey,
    Habit,
    Mark,
    Reflection,
    normal_child_name,
    time_period_of,
)

ODD_TEXTS = (
    "👩‍👩‍👧‍👦",
    "עברית ושלום",
    "‮override‬",
    "아침 (6-9시) 이불 개기",
    "저녁 (18-21시) 양치",
    "읽기 (30분) ((두 번))",
    "é",
    "é",
    'quote " backslash \\ slash / <b>&amp;</b>',
    "  outer white space \t",
    "two\nlines\r\n",
    "'; DROP TABLE weeks; --",
    "%s {} $1 \\N \\.",
    "가" * 200,
    "😀" * 200,
)

OWNERS = tuple(UUID(int=number) for number in (1, 2, 2**127 + 5))

storable = st.characters(exclude_categories=("Cs",), exclude_characters="\x00")


def texts(*, min_size: int = 0, max_size: int = 200) -> st.SearchStrategy[str]:
    """Any text a database can store; now and then one of a nasty kind."""
    fitting = [text for text in ODD_TEXTS if min_size <= len(text) <= max_size]
    return st.one_of(st.text(storable, min_size=min_size, max_size=max_size), st.sampled_from(fitting))


def child_names() -> st.SearchStrategy[str]:
    """Names as keys carry them."""
    normal = texts(min_size=1, max_size=MAX_CHILD_NAME).map(normal_child_name)
    return normal.filter(lambda name: 1 <= len(name) <= MAX_CHILD_NAME)


def habit_names() -> st.SearchStrategy[str]:
    """Names with something visible in them; few different ones, so that duplicates are common."""
    return st.one_of(st.sampled_from(["물", "책", "물 "]), texts(min_size=1, max_size=MAX_HABIT_NAME)).filter(
        lambda name: bool(name.strip())
    )


def marks() -> st.SearchStrategy[Mark]:
    return st.sampled_from(["green", "yellow", "red", "none"])


@st.composite
def habits(draw: Any) -> Habit:
    name = draw(habit_names())
    times = draw(st.one_of(st.just(BLANK_WEEK), st.tuples(*[marks()] * 7)))
    legacy_id = draw(st.one_of(st.none(), st.integers(0, 10), st.integers(0, 2**53)))
    return Habit(name, times, time_period_of(name), legacy_id)


def mondays() -> st.SearchStrategy[date]:
    weeks = (LAST_MONDAY - FIRST_MONDAY).days // 7
    return st.integers(0, weeks).map(lambda week: FIRST_MONDAY + timedelta(days=7 * week))


def keys() -> st.SearchStrategy[BoardKey]:
    return st.builds(BoardKey, st.one_of(st.sampled_from(OWNERS), st.uuids()), child_names(), mondays())


def reflections() -> st.SearchStrategy[Reflection]:
    return st.builds(Reflection, texts(), texts(), texts())


@st.composite
def boards(draw: Any, key: BoardKey | None = None, max_habits: int = 60) -> Board:
    """Any board that a legacy row can say; of this key where one is given."""
    count = draw(st.one_of(st.integers(0, 4), st.integers(0, max_habits)))
    return Board(
        key if key is not None else draw(keys()),
        draw(texts()),
        draw(texts()),
        draw(reflections()),
        tuple(draw(st.lists(habits(), min_size=count, max_size=count))),
    )
