"""What the modern tables hold of a week, as a board: one row a week, its habits and marks gathered by the server.

Whatever a board cannot say (a mark outside the week, a gap between positions, another owner than the child's …) becomes
one of its `anomalies`, so that comparing it with the legacy board finds it. Notes, templates, pictures and dates of
birth exist in the modern schema only and are no part of a board.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, cast
from uuid import UUID

from habits.board import DAYS, Board, BoardKey, Habit, Mark, Reflection

_READ = """
SELECT w.id, w.child_id, w.user_id, c.user_id, c.name, w.week_start_date,
       w.week_end_date = w.week_start_date + 6, w.week_end_date::text,
       coalesce(w.theme, ''), coalesce(w.reward, ''), w.reflection::text, w.xmin::text, lines.lines{more}
  FROM {source}
  LEFT JOIN LATERAL (
       SELECT json_agg(json_build_array(
                  h.display_order, h.name, coalesce(h.time_period, ''), h.legacy_id,
                  CASE WHEN marks.whole THEN to_json(marks.statuses) ELSE
                      (SELECT json_agg(json_build_array(r.record_date, r.status) ORDER BY r.record_date)
                         FROM habit_records r WHERE r.habit_id = h.id)
                  END) ORDER BY h.display_order)::text AS lines
         FROM habits h
        CROSS JOIN LATERAL (
              SELECT string_agg(r.status, ',' ORDER BY r.record_date) AS statuses,
                     count(*) = 7 AND min(r.record_date) = w.week_start_date
                              AND max(r.record_date) = w.week_start_date + 6 AS whole
                FROM habit_records r WHERE r.habit_id = h.id) AS marks
        WHERE h.week_id = w.id) AS lines ON true
"""
"""`whole` is enough to know that there is one record a day, because no day can have two."""


def read_from(source: str, more: str = "") -> str:
    """Reads the weeks of these items of a FROM clause: `w` is a row of `weeks` with its `xmin`, `c` its child's.

    Args:
        more: columns to add at the end, with a comma before each.
    """
    return _READ.format(source=source, more=more)


READ = read_from("""
       unnest(%s::uuid[]) AS wanted (id)
 CROSS JOIN LATERAL (SELECT *, xmin FROM weeks WHERE id = wanted.id LIMIT 1) AS w
  LEFT JOIN LATERAL (SELECT user_id, name FROM children WHERE id = w.child_id LIMIT 1) AS c ON true
""")
"""Takes ids of weeks."""

_ANSWERS = {"bestDay", "easiestHabit", "nextWeekGoal"}
_ORPHAN = re.compile(r"⟨child ([0-9a-f-]{36}) is missing⟩")


class Stored(NamedTuple):
    """A week as it was found.

    Attributes:
        week_id: of its row.
        board: what it says.
        misfit: the week's own row says what no board can say.
        version: PostgreSQL's `xmin` of the week's own row: it differs as soon as that row was changed.
    """

    week_id: UUID
    board: Board
    misfit: bool
    version: str


def missing_child(key: BoardKey) -> UUID | None:
    """The id of the child that is missing, if this is the key of a week without one.

    Such a week belongs to nobody's board, but must be seen: it gets a key that no legacy row has.
    """
    found = _ORPHAN.fullmatch(key.child)
    return UUID(found[1]) if found else None


def stored_key(child_id: UUID, owner: UUID, child_owner: UUID | None, name: str | None, monday: date) -> BoardKey:
    """The key of a week by its own row and its child's; the latter's values are None where there is no child."""
    if child_owner is None or name is None:
        return BoardKey(owner, f"⟨child {child_id} is missing⟩", monday)
    return BoardKey(child_owner, name, monday)


def stored_boards(rows: Sequence[Sequence[Any]]) -> Iterator[Stored]:
    """The weeks that these rows of `READ` describe."""
    for week_id, child_id, owner, child_owner, name, monday, sunday, week_end, *said in rows:
        theme, reward, reflection, version, lines = said
        anomalies: list[str] = []
        if child_owner is None:
            anomalies.append("weeks.child_id names no child")
        elif child_owner != owner:
            anomalies.append(f"weeks.user_id is {owner}, the child belongs to {child_owner}")
        if monday.weekday() != 0:
            anomalies.append("weeks.week_start_date is no Monday")
        if not sunday:
            anomalies.append(f"weeks.week_end_date is {week_end}")
        answers = _reflection(reflection, anomalies)
        misfit = bool(anomalies)
        habits = _habits(lines, monday, anomalies) if lines is not None else ()
        key = stored_key(child_id, owner, child_owner, name, monday)
        yield Stored(week_id, Board(key, theme, reward, answers, habits, tuple(anomalies)), misfit, version)


def _reflection(text: str | None, anomalies: list[str]) -> Reflection:
    answers = json.loads(text) if text is not None else None
    if not isinstance(answers, dict):
        if answers is not None:
            anomalies.append(f"weeks.reflection is no object: {text}")
        return Reflection()
    for name, answer in answers.items():
        if (name not in _ANSWERS and answer not in ("", None)) or not isinstance(answer, str | None):
            anomalies.append(f"weeks.reflection.{name} is {json.dumps(answer, ensure_ascii=False)}")
            answers[name] = ""
    return Reflection(
        answers.get("bestDay") or "", answers.get("easiestHabit") or "", answers.get("nextWeekGoal") or ""
    )


def _habits(lines: str, monday: date, anomalies: list[str]) -> tuple[Habit, ...]:
    habits = []
    for position, (order, name, time_period, legacy_id, marks) in enumerate(json.loads(lines)):
        if order != position:
            anomalies.append(f"habits[{position}].display_order is {order}")
        times = (times_of(marks) if isinstance(marks, str) else None) or _incomplete(marks, position, monday, anomalies)
        habits.append(Habit(name, times, time_period, legacy_id))
    return tuple(habits)


@lru_cache(maxsize=1 << 15)
def times_of(statuses: str) -> tuple[Mark | None, ...] | None:
    """The seven marks of this list; None where it is something else. A status nobody knows stays as it is and will
    differ."""
    times = tuple(statuses.split(","))
    return cast("tuple[Mark | None, ...]", times) if len(times) == DAYS else None


def _incomplete(marks: Any, position: int, monday: date, anomalies: list[str]) -> tuple[Mark | None, ...]:
    """The marks of a habit that does not have exactly one a day: a missing day is None, any other day an anomaly."""
    times: list[Mark | None] = [None] * DAYS
    if isinstance(marks, str):
        anomalies.append(f"habits[{position}] has unreadable marks: {marks}")
        return tuple(times)
    days = {(monday + timedelta(days=day)).isoformat(): day for day in range(DAYS)}
    for recorded, status in marks or []:
        if recorded in days:
            times[days[recorded]] = status
        else:
            anomalies.append(f"habits[{position}] has a mark on {recorded}: {status}")
    return tuple(times)
