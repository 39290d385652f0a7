"""What really is in the modern tables, by plain SQL, in the shape the oracle speaks."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from django.db import connection

from tests.acceptance.oracle import ANSWERS, Key

WEEKS = """
SELECT w.id, c.user_id::text, c.name, w.week_start_date::text, w.week_end_date - w.week_start_date,
       coalesce(w.theme, ''), coalesce(w.reward, ''), w.reflection, w.user_id = c.user_id
  FROM weeks w JOIN children c ON c.id = w.child_id
"""

HABITS = "SELECT id, week_id, name, time_period, display_order FROM habits ORDER BY week_id, display_order"

RECORDS = """
SELECT r.habit_id, r.record_date - w.week_start_date, r.status
  FROM habit_records r JOIN habits h ON h.id = r.habit_id JOIN weeks w ON w.id = h.week_id
 ORDER BY r.habit_id, r.record_date
"""


def query(sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def boards() -> dict[Key, dict[str, Any]]:
    """Every board of the modern schema, read row by row; asserts what must hold for each row on the way."""
    times: dict[Any, list[str]] = defaultdict(list)
    for habit, day, status in query(RECORDS):
        assert day == len(times[habit]), "a habit has one record a day, Monday to Sunday"
        times[habit].append(status)
    lines: dict[Any, list[tuple[str, list[str], str | None]]] = defaultdict(list)
    for habit, week, name, period, order in query(HABITS):
        assert order == len(lines[week]), "positions are contiguous"
        assert len(times[habit]) == 7, "seven records a habit"
        lines[week].append((name, times[habit], period or None))
    found = {}
    for week, owner, child, monday, days, theme, reward, reflection, same_owner in query(WEEKS):
        assert days == 6
        assert same_owner
        found[(owner, child, monday)] = {
            "theme": theme,
            "reward": reward,
            "reflection": {answer: json.loads(reflection)[answer] for answer in ANSWERS},
            "habits": [(name, marks) for name, marks, _ in lines[week]],
            "bands": [band for _, _, band in lines[week]],
        }
    assert len(found) == query("SELECT count(*) FROM weeks")[0][0], "no week without its child, no key twice"
    assert sum(len(line) for line in lines.values()) == query("SELECT count(*) FROM habits")[0][0]
    assert sum(len(marks) for marks in times.values()) == query("SELECT count(*) FROM habit_records")[0][0]
    return found


def digest() -> str:
    """One value for everything in the modern tables that a family would notice, independent of ids and times."""
    return repr(sorted(boards().items()))
