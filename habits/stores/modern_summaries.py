"""What the modern tables hold of a week, without its texts: half the work of a whole board."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection

from habits.board import BoardKey
from habits.stores.modern_rows import missing_child, times_of
from habits.summary import WeekSummary

_SUMMARIES = """
SELECT w.week_start_date, coalesce(w.theme, ''), lines.habits, lines.marks
  FROM (SELECT id FROM children WHERE user_id = %s AND name = %s LIMIT 1) AS c
 CROSS JOIN LATERAL (
       SELECT id, week_start_date, theme FROM weeks
        WHERE child_id = c.id AND week_start_date = ANY(string_to_array(%s, ',')::date[]) OFFSET 0) AS w
 CROSS JOIN LATERAL (
       SELECT count(*) AS habits, string_agg(marks.statuses, ';' ORDER BY h.display_order) AS marks
         FROM habits h
        CROSS JOIN LATERAL (
              SELECT CASE WHEN count(*) = 7 AND min(r.record_date) = w.week_start_date
                                            AND max(r.record_date) = w.week_start_date + 6
                          THEN string_agg(r.status, ',' ORDER BY r.record_date) END AS statuses
                FROM habit_records r WHERE r.habit_id = h.id) AS marks
        WHERE h.week_id = w.id) AS lines
"""
"""`LIMIT` and `OFFSET 0` keep the planner to the indexes while it has no statistics yet. A habit that has not exactly
one mark a day is left out of `marks`, so that there are fewer than `habits`."""


def summaries(keys: Collection[BoardKey]) -> tuple[dict[BoardKey, WeekSummary], set[BoardKey]]:
    """The summaries of these boards, in a statement for each child; absent keys are absent.

    Returns:
        the summaries by key; and those of the keys that take a closer look, because marks are missing or too many, or
        the child is missing.
    """
    found: dict[BoardKey, WeekSummary] = {}
    unclear = {key for key in keys if missing_child(key)}
    mondays: dict[tuple[UUID, str], list[date]] = {}
    for owner, child, monday in set(keys) - unclear:
        mondays.setdefault((owner, child), []).append(monday)
    for (owner, child), days in mondays.items():
        for monday, theme, habits, statuses in _weeks(owner, child, days):
            key = BoardKey(owner, child, monday)
            marks = [times_of(text) for text in statuses.split(";")] if statuses else []
            whole = tuple(times for times in marks if times is not None)
            if len(whole) == len(marks) == habits:
                found[key] = WeekSummary(key, theme, whole)
            else:
                unclear.add(key)
    return found, unclear


def _weeks(owner: UUID, child: str, mondays: Collection[date]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_SUMMARIES, [owner, child, ",".join(monday.isoformat() for monday in mondays)])
        yield from cursor.fetchall()
