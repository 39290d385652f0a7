"""What the legacy store may hold, for laws that hold for all of it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st

from habits.board import Board, BoardKey, Habit, Reflection, time_period_of
from habits.stores.legacy_changes import week_period

OWNER = UUID("1710cf53-27ac-435a-ba97-c643656412a9")
OTHER_OWNER = UUID("b8a1abcd-1a69-46c7-8da4-f9fc3c6da5d7")
OWNERS = frozenset({OWNER, OTHER_OWNER})
MONDAY = date(2025, 7, 21)
KEY = BoardKey(OWNER, "달이", MONDAY)

law = settings(deadline=None)
"""For laws whose examples take longer on a busy machine."""

texts = st.sampled_from(["", "성장하는 나", "새 책", "🍦\n🎬", " ", "<b>&"]) | st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8
)
blank_texts = st.sampled_from([None, ""]) | texts
names = st.sampled_from(
    ["아침 (6-9시) 양치하기", "아침 (6-9시)\n양치하기", "책 읽기", "책 읽기 ", "운동.", "피아노 연습(30분)", "가"]
) | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=6).filter(str.strip)
marks = st.sampled_from(["green", "yellow", "red", "none", "none"])
statuses = st.sampled_from(["green", "yellow", "red", "none", "", None, ""])
ids = st.sampled_from([0, 1, 2, 3, 1753217615917]) | st.none() | st.just("x")


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """An element of `habits` that can be represented."""
    entry: dict[str, Any] = {"name": draw(names)}
    if draw(st.booleans()):
        entry["id"] = draw(ids)
    match draw(st.sampled_from(["seven", "seven", "seven", "missing", "null", "short", "long"])):
        case "seven":
            entry["times"] = draw(st.lists(statuses, min_size=7, max_size=7))
        case "null":
            entry["times"] = None
        case "short":
            entry["times"] = draw(st.lists(statuses, max_size=6))
        case "long":
            blanks = st.lists(st.sampled_from(["", None, "none"]), min_size=1, max_size=3)
            entry["times"] = draw(st.lists(statuses, min_size=7, max_size=7)) + draw(blanks)
    if draw(st.booleans()):
        entry["color"] = draw(st.sampled_from(["red", 3, [1, {"a": None}]]))
    return entry


@st.composite
def records(draw: st.DrawFn, number: int = 1) -> dict[str, Any]:
    """A row of the board `KEY` that can be represented."""
    habits: Any = draw(st.lists(entries(), max_size=4))
    habits = draw(st.sampled_from([habits, habits, json.dumps(habits), habits or None]))
    reflection: Any = draw(
        st.dictionaries(st.sampled_from(["bestDay", "easiestHabit", "nextWeekGoal"]), blank_texts, max_size=3)
    )
    if draw(st.booleans()):
        reflection["mood"] = draw(st.sampled_from([4, {"deep": [1]}]))
    reflection = draw(st.sampled_from([reflection, reflection, json.dumps(reflection)]))
    start = MONDAY + timedelta(days=draw(st.integers(0, 6)))
    return {
        "id": number,
        "child_name": draw(st.sampled_from(["달이", "달이 ", " 달이\n"])),
        "week_period": week_period(start, start + timedelta(days=6)),
        "theme": draw(blank_texts),
        "habits": habits,
        "reflection": reflection,
        "reward": draw(blank_texts),
        "created_at": "2025-07-21T12:00:00+00:00",
        "week_start_date": draw(st.sampled_from([start.isoformat(), None])),
        "user_id": str(OWNER),
        "source": "app",
    }


@st.composite
def rows_of_one_board(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One to four rows of one board, in any order."""
    numbers = draw(st.lists(st.integers(1, 10**13), min_size=1, max_size=4, unique=True))
    return [draw(records(number)) for number in numbers]


@st.composite
def boards(draw: st.DrawFn, key: BoardKey = KEY) -> Board:
    """Any board a family could make."""
    habits = [
        Habit(name, tuple(draw(st.lists(marks, min_size=7, max_size=7))), time_period_of(name))
        for name in draw(st.lists(names, max_size=5))
    ]
    answers = [draw(texts) for _ in range(3)]
    return Board(key, draw(texts), draw(texts), Reflection(*answers), tuple(habits))
