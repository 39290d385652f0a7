"""Make weeks that exist equal to boards, row by row: only what differs is inserted, updated or deleted.

Which stored habit is which of the board's is `habit_matching`'s to say: a habit that moved keeps its row, and with it
its id, its marks and their notes, which exist on this side only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count, groupby
from typing import Any
from uuid import UUID

from habits.board import BLANK, DAYS, Board, Habit
from habits.stores import legacy_ids
from habits.stores.habit_matching import matched
from habits.stores.legacy_ids import legacy_id_kept
from habits.stores.modern_copy import reflection_json
from habits.stores.modern_rows import Stored

DETAILS = """
SELECT h.week_id, h.id, h.display_order, h.name, h.time_period, h.legacy_id,
       (SELECT json_object_agg(r.record_date, r.status) FROM habit_records r WHERE r.habit_id = h.id)::text
  FROM habits h WHERE h.week_id = ANY (%s::uuid[]) ORDER BY h.week_id, h.display_order
"""

DELETE_MARKS_OF_HABITS = "DELETE FROM habit_records WHERE habit_id = ANY (%s::uuid[])"
DELETE_HABITS = "DELETE FROM habits WHERE id = ANY (%s::uuid[])"
DELETE_MARKS = """
DELETE FROM habit_records r USING unnest(%s::uuid[], %s::date[]) AS gone (habit_id, record_date)
 WHERE r.habit_id = gone.habit_id AND r.record_date = gone.record_date
"""
UPDATE_WEEKS = """
UPDATE weeks w
   SET user_id = new.user_id, week_end_date = w.week_start_date + 6, theme = new.theme, reward = new.reward,
       reflection = new.reflection, updated_at = statement_timestamp()
  FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::jsonb[])
       AS new (id, user_id, theme, reward, reflection)
 WHERE w.id = new.id
"""
PARK_HABITS = """
UPDATE habits h SET display_order = aside.display_order
  FROM unnest(%s::uuid[], %s::int[]) AS aside (id, display_order)
 WHERE h.id = aside.id
"""
"""The key of week and position is checked row by row, so whoever moves first steps aside, to a place that is free."""
UPDATE_HABITS = """
UPDATE habits h
   SET display_order = new.display_order, name = new.name, time_period = new.time_period,
       legacy_id = coalesce(new.legacy_id, h.legacy_id), updated_at = statement_timestamp()
  FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::text[], %s::bigint[])
       AS new (id, display_order, name, time_period, legacy_id)
 WHERE h.id = new.id
"""
KEEP_LEGACY_IDS = """
UPDATE habits h SET legacy_id = new.legacy_id
  FROM unnest(%s::uuid[], %s::int[], %s::bigint[]) AS new (week_id, display_order, legacy_id)
 WHERE h.week_id = new.week_id AND h.display_order = new.display_order AND h.legacy_id IS DISTINCT FROM new.legacy_id
"""
UPDATE_MARKS = """
UPDATE habit_records r SET status = new.status, updated_at = statement_timestamp()
  FROM unnest(%s::uuid[], %s::date[], %s::text[]) AS new (habit_id, record_date, status)
 WHERE r.habit_id = new.habit_id AND r.record_date = new.record_date
"""


@dataclass(slots=True)
class Changes:
    """Rows to delete, update and insert, table by table, in the order of the fields."""

    gone_habits: list[UUID] = field(default_factory=list)
    gone_marks: list[tuple[UUID, str]] = field(default_factory=list)
    weeks: list[tuple[UUID, Board]] = field(default_factory=list)
    parked_habits: list[tuple[UUID, int]] = field(default_factory=list)
    habits: list[tuple[UUID, int, Habit]] = field(default_factory=list)
    marks: list[tuple[UUID, date, str]] = field(default_factory=list)
    new_habits: list[tuple[bytes, int, Habit, date]] = field(default_factory=list)
    new_marks: list[tuple[bytes, date, str]] = field(default_factory=list)


def same(stored: Board, wanted: Board) -> bool:
    """Whether nothing has to be written: equal content, and no legacy id that is known better now."""
    return stored == wanted and legacy_ids.kept(wanted, stored)


def changes(weeks: Sequence[tuple[Stored, Board]], details: Sequence[Sequence[Any]]) -> Changes:
    """What turns each stored week into its board, given its rows of `DETAILS`."""
    found = Changes()
    habits_of = {week_id: list(rows) for week_id, rows in groupby(details, key=lambda row: row[0])}
    for stored, board in weeks:
        if stored.misfit or _texts(stored.board) != _texts(board):
            found.weeks.append((stored.week_id, board))
        _compare_habits(found, stored.week_id, habits_of.get(stored.week_id, []), board)
    return found


def statements(found: Changes) -> Iterator[tuple[str, list[list[Any]]]]:
    """What to execute, in this order, before the new habits and marks are copied in: SQL and its arrays."""
    if found.gone_habits:
        yield DELETE_MARKS_OF_HABITS, [found.gone_habits]
        yield DELETE_HABITS, [found.gone_habits]
    if found.gone_marks:
        yield DELETE_MARKS, _columns(found.gone_marks)
    if found.weeks:
        yield (
            UPDATE_WEEKS,
            _columns(
                [
                    (week_id, board.key.owner, board.theme, board.reward, reflection_json(board.reflection))
                    for week_id, board in found.weeks
                ]
            ),
        )
    if found.parked_habits:
        yield PARK_HABITS, _columns(found.parked_habits)
    if found.habits:
        yield (
            UPDATE_HABITS,
            _columns(
                [
                    (habit_id, position, habit.name, habit.time_period, legacy_id_kept(habit.legacy_id))
                    for habit_id, position, habit in found.habits
                ]
            ),
        )
    if found.marks:
        yield UPDATE_MARKS, _columns(found.marks)


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _texts(board: Board) -> tuple[Any, ...]:
    return board.theme, board.reward, board.reflection


def _compare_habits(found: Changes, week_id: UUID, rows: Sequence[Sequence[Any]], board: Board) -> None:
    monday = board.key.week_start
    marks_of = [json.loads(marks) if marks else {} for *_, marks in rows]
    days = [(monday + timedelta(days=day)).isoformat() for day in range(DAYS)]
    stored = [
        Habit(name, tuple(map(marks.get, days)), legacy_id=legacy_id)
        for (_, _, _, name, _, legacy_id, _), marks in zip(rows, marks_of, strict=True)
    ]
    sources = matched(stored, board.habits)
    found.gone_habits += [row[1] for number, row in enumerate(rows) if number not in sources]
    occupied = {row[2] for row in rows}
    aside = (place for place in count(len(board.habits)) if place not in occupied)
    for position, (habit, source) in enumerate(zip(board.habits, sources, strict=True)):
        if source is None:
            found.new_habits.append((week_id.bytes, position, habit, monday))
            continue
        _, habit_id, order, name, time_period, legacy_id, _ = rows[source]
        if order != position:
            found.parked_habits.append((habit_id, next(aside)))
        said = order, name, time_period or ""
        kept = legacy_id_kept(habit.legacy_id)
        if said != (position, habit.name, habit.time_period) or kept not in (None, legacy_id):
            found.habits.append((habit_id, position, habit))
        _compare_marks(found, habit_id, marks_of[source], habit, monday)


def _compare_marks(found: Changes, habit_id: UUID, stored: dict[str, str], habit: Habit, monday: date) -> None:
    for day in range(DAYS):
        on = monday + timedelta(days=day)
        wanted = habit.times[day] or BLANK
        status = stored.pop(on.isoformat(), None)
        if status is None:
            found.new_marks.append((habit_id.bytes, on, wanted))
        elif status != wanted:
            found.marks.append((habit_id, on, wanted))
    found.gone_marks += [(habit_id, on_another_day) for on_another_day in stored]
