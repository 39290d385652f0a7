"""The way back: what has to change in legacy rows so that they say what a board says.

Pure. The leading row is changed and keeps its id, dates, the ids of its habits, unknown keys, and the shape of whatever
did not change; further rows of the board are removed, after the caller has archived them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from habits.board import BLANK, DAYS, Board, Habit, Mark
from habits.stores.habit_matching import matched
from habits.stores.legacy_boards import AssembledBoard
from habits.stores.legacy_rows import ANSWERS, MARKS, ParsedRow, read_answers, reflection_object

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WriteBack:
    """What has to be done to the rows of one board.

    Attributes:
        changes: new values of columns of the leading row.
        removed: rows that are in the board now and have to go.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    removed: tuple[ParsedRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.removed)


def write_back(current: AssembledBoard, board: Board) -> WriteBack:
    """How the rows of `current` come to say what `board` says; nothing at all if they do already."""
    if _content(current.board) == _content(board):
        return WriteBack()
    leader = current.rows[0]
    changes: dict[str, Any] = {}
    if leader.board.theme != board.theme:
        changes["theme"] = board.theme
    if leader.board.reward != board.reward:
        changes["reward"] = board.reward
    if leader.board.reflection != board.reflection:
        changes["reflection"] = _reflection(leader, board)
    if _lines(leader.board) != _lines(board):
        changes["habits"] = _habits(current, board)
    return WriteBack(changes, current.rows[1:])


def new_record(board: Board) -> dict[str, Any]:
    """The row of a board that legacy does not have yet, without id and time stamps."""
    return {
        "child_name": board.key.child,
        "week_period": week_period(board.key.week_start, board.week_end),
        "theme": board.theme,
        "habits": [
            {"id": number, "name": habit.name, "times": [_raw(mark) for mark in habit.times]}
            for number, habit in enumerate(board.habits, 1)
        ],
        "reflection": dict(zip(ANSWERS, _answers(board), strict=True)),
        "reward": board.reward,
        "week_start_date": board.key.week_start.isoformat(),
        "user_id": str(board.key.owner),
    }


def week_period(first: date, last: date) -> str:
    """A week as the legacy app writes it: `2025년 7월 21일 ~ 2025년 7월 27일`."""
    return " ~ ".join(f"{day.year}년 {day.month}월 {day.day}일" for day in (first, last))


def periods_of(monday: date) -> list[str]:
    """How the weeks are called that begin on this Monday and on the six days after it."""
    first_days = [monday + timedelta(days=day) for day in range(DAYS)]
    return [week_period(first, first + timedelta(days=DAYS - 1)) for first in first_days]


def _content(board: Board) -> object:
    return board.theme, board.reward, board.reflection, _lines(board)


def _lines(board: Board) -> list[tuple[str, list[Mark]]]:
    return [(habit.name, [mark or BLANK for mark in habit.times]) for habit in board.habits]


def _answers(board: Board) -> tuple[str, str, str]:
    return board.reflection.best_day, board.reflection.easiest_habit, board.reflection.next_week_goal


def _reflection(leader: ParsedRow, board: Board) -> Entry:
    answers = dict(reflection_object(leader.record.get("reflection")))
    before = read_answers(answers)
    for name, old, new in zip(
        ANSWERS, (before.best_day, before.easiest_habit, before.next_week_goal), _answers(board), strict=True
    ):
        if old != new:
            answers[name] = new
    return answers


def _habits(current: AssembledBoard, board: Board) -> list[Entry]:
    sources = matched(current.board.habits, board.habits)
    led = len(current.rows[0].entries)
    used = {entry.get("id") for entry in current.entries[:led] if _is_id(entry.get("id"))}
    written = []
    for habit, source in zip(board.habits, sources, strict=True):
        entry = {} if source is None else current.entries[source]
        kept = source is not None and (source < led or (_is_id(entry.get("id")) and entry["id"] not in used))
        written.append(_entry(entry, habit, None if kept else _new_id(habit, used)))
        if _is_id(written[-1].get("id")):
            used.add(written[-1]["id"])
    return written


def _entry(entry: Entry, habit: Habit, new_id: int | None) -> Entry:
    """The element of `habits` for this habit: the old one, changed where it says something else."""
    changed = dict(entry)
    if new_id is not None:
        changed["id"] = new_id
    if changed.get("name") != habit.name:
        changed["name"] = habit.name
    old = changed.get("times") or []
    marks = [MARKS[status] for status in old[:DAYS]]
    wanted = [mark or BLANK for mark in habit.times]
    if marks + [BLANK] * (DAYS - len(marks)) != wanted or not entry:
        changed["times"] = [
            old[day] if day < len(marks) and marks[day] == mark else _raw(mark) for day, mark in enumerate(wanted)
        ] + old[DAYS:]
    return changed


def _new_id(habit: Habit, used: set[Any]) -> int:
    if habit.legacy_id is not None and habit.legacy_id not in used:
        return habit.legacy_id
    return max((int(number) for number in used), default=0) + 1


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _raw(mark: Mark | None) -> str:
    return "" if mark is None or mark == BLANK else mark
