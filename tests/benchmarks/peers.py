"""What a team without this product would write to move the same rows, each done well for what it is.

All of them write the same modern tables with the same keys, in an otherwise idle database, and commit in chunks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from habits.models import Child, Habit, HabitRecord, Week

CHUNK = 1000
SELECT = (
    "SELECT id, user_id, child_name, week_start_date, theme, reward, reflection, habits FROM habit_tracker"
    " WHERE id > %s ORDER BY id LIMIT %s"
)


def row_by_row(limit: int) -> int:
    """`get_or_create` for every row of every table, as in a first script; how many legacy rows were moved."""
    moved = 0
    for row in _rows(limit):
        with transaction.atomic():
            child, _ = Child.objects.get_or_create(user_id=row["owner"], name=row["child"])
            week, _ = Week.objects.get_or_create(
                user_id=row["owner"],
                child=child,
                week_start_date=row["monday"],
                defaults={
                    "week_end_date": row["monday"] + timedelta(days=6),
                    "theme": row["theme"],
                    "reward": row["reward"],
                    "reflection": row["reflection"],
                },
            )
            for order, line in enumerate(row["habits"]):
                habit, _ = Habit.objects.get_or_create(
                    week=week, display_order=order, defaults={"name": line["name"], "legacy_id": line["id"]}
                )
                for day, status in enumerate(line["times"]):
                    HabitRecord.objects.get_or_create(
                        habit=habit,
                        record_date=row["monday"] + timedelta(days=day),
                        defaults={"status": status or "none"},
                    )
        moved += 1
    return moved


def bulk_create() -> int:
    """Django's `bulk_create`, 1,000 objects a statement, children looked up once; how many legacy rows were moved."""
    children: dict[tuple[UUID, str], Child] = {}
    moved = 0
    now = timezone.now()  # given, because a default of the database costs an expression a row
    for rows in _chunks():
        new = {
            (row["owner"], row["child"]): Child(user_id=row["owner"], name=row["child"], created_at=now)
            for row in rows
            if (row["owner"], row["child"]) not in children
        }
        weeks, habits, records = [], [], []
        children |= new
        for row in rows:
            week = Week(
                user_id=row["owner"],
                child=children[row["owner"], row["child"]],
                week_start_date=row["monday"],
                week_end_date=row["monday"] + timedelta(days=6),
                theme=row["theme"],
                reward=row["reward"],
                reflection=row["reflection"],
                created_at=now,
            )
            weeks.append(week)
            for order, line in enumerate(row["habits"]):
                habit = Habit(week=week, name=line["name"], display_order=order, legacy_id=line["id"], created_at=now)
                habits.append(habit)
                records += [
                    HabitRecord(
                        habit=habit,
                        record_date=row["monday"] + timedelta(days=day),
                        status=line["times"][day] or "none",
                        created_at=now,
                    )
                    for day in range(7)
                ]
        with transaction.atomic():
            Child.objects.bulk_create(new.values(), batch_size=CHUNK)
            Week.objects.bulk_create(weeks, batch_size=CHUNK)
            Habit.objects.bulk_create(habits, batch_size=CHUNK)
            HabitRecord.objects.bulk_create(records, batch_size=CHUNK)
        moved += len(rows)
    return moved


SET_BASED = (
    """
    INSERT INTO children (user_id, name)
    SELECT DISTINCT user_id, child_name FROM habit_tracker WHERE id > %(after)s AND id <= %(until)s
    ON CONFLICT (user_id, name) DO NOTHING
    """,
    """
    INSERT INTO weeks (user_id, child_id, week_start_date, week_end_date, theme, reward, reflection)
    SELECT t.user_id, c.id, monday, monday + 6, coalesce(t.theme, ''), coalesce(t.reward, ''), t.reflection
      FROM habit_tracker t
      JOIN children c ON c.user_id = t.user_id AND c.name = t.child_name
     CROSS JOIN LATERAL (SELECT date_trunc('week', t.week_start_date)::date AS monday) m
     WHERE t.id > %(after)s AND t.id <= %(until)s
    """,
    """
    INSERT INTO habits (week_id, name, display_order, legacy_id)
    SELECT w.id, line.value ->> 'name', line.ordinality - 1, (line.value ->> 'id')::bigint
      FROM habit_tracker t
      JOIN children c ON c.user_id = t.user_id AND c.name = t.child_name
      JOIN weeks w ON w.child_id = c.id AND w.week_start_date = date_trunc('week', t.week_start_date)::date
     CROSS JOIN LATERAL jsonb_array_elements(t.habits) WITH ORDINALITY AS line
     WHERE t.id > %(after)s AND t.id <= %(until)s
    """,
    """
    INSERT INTO habit_records (habit_id, record_date, status)
    SELECT h.id, w.week_start_date + (day.ordinality - 1)::int, coalesce(nullif(day.value, ''), 'none')
      FROM habit_tracker t
      JOIN children c ON c.user_id = t.user_id AND c.name = t.child_name
      JOIN weeks w ON w.child_id = c.id AND w.week_start_date = date_trunc('week', t.week_start_date)::date
     CROSS JOIN LATERAL jsonb_array_elements(t.habits) WITH ORDINALITY AS line
      JOIN habits h ON h.week_id = w.id AND h.display_order = line.ordinality - 1
     CROSS JOIN LATERAL jsonb_array_elements_text(line.value -> 'times') WITH ORDINALITY AS day
     WHERE t.id > %(after)s AND t.id <= %(until)s
    """,
)
"""Set-based SQL for clean data: no merging, no checks, ids made at random by the server."""


def set_based_sql() -> int:
    """One statement a table and chunk of 1,000 legacy rows; how many were moved."""
    moved, after = 0, 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(id), count(*) FROM (SELECT id FROM habit_tracker WHERE id > %s ORDER BY id LIMIT %s) t",
                [after, CHUNK],
            )
            until, count = cursor.fetchone()
            if not count:
                return moved
            for statement in SET_BASED:
                cursor.execute(statement, {"after": after, "until": until})
        moved, after = moved + count, until


def _rows(limit: int) -> Iterator[dict[str, Any]]:
    for rows in _chunks():
        for row in rows:
            if limit == 0:
                return
            limit -= 1
            yield row


def _chunks() -> Iterator[list[dict[str, Any]]]:
    after = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(SELECT, [after, CHUNK])
            rows = cursor.fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield [_decoded(*row) for row in rows]


def _decoded(
    _id: int, owner: UUID, child: str, start: date, theme: str, reward: str, reflection: Any, habits: Any
) -> dict[str, Any]:
    return {
        "owner": owner,
        "child": child,
        "monday": start - timedelta(days=start.weekday()),
        "theme": theme or "",
        "reward": reward or "",
        "reflection": json.loads(reflection) if isinstance(reflection, str) else reflection or {},
        "habits": json.loads(habits) if isinstance(habits, str) else habits,
    }
