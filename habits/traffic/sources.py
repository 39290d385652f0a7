"""The lines of a run as they really stand in the stores: by plain SQL and out of the plain file, past every mapping."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from habits.board import BLANK, DAYS, monday_of, normal_child_name
from habits.stores.json_file import holds_lines, opened
from habits.stores.json_reader import JsonReader

_LEGACY = """
SELECT h.user_id::text, h.child_name, h.week_start_date::text, line ->> 'name', (line -> 'times')::text
  FROM habit_tracker h
 CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(h.habits) WHEN 'array' THEN h.habits ELSE '[]' END) AS line
 WHERE h.user_id = ANY (%s::uuid[]) AND starts_with(line ->> 'name', %s)
"""

_MODERN = """
SELECT c.user_id::text, c.name, w.week_start_date::text, h.name,
       (SELECT json_agg(r.status ORDER BY r.record_date) FROM habit_records r WHERE r.habit_id = h.id)::text
  FROM children c JOIN weeks w ON w.child_id = c.id JOIN habits h ON h.week_id = w.id
 WHERE c.user_id = ANY (%s::uuid[]) AND starts_with(h.name, %s)
"""


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line as a store has it.

    Attributes:
        child: without outer white space, in normal form.
        monday: of its week; None where the row has no date.
        times: as many marks as there are, blanks as `none`.
    """

    owner: str
    child: str
    monday: date | None
    name: str
    times: tuple[str, ...]


Found = dict[str, list[StoredLine]]
"""By name."""


def in_legacy(owners: Collection[UUID], prefix: str) -> Found:
    """Every line of these owners whose name begins with `prefix`, in the legacy table or file."""
    if settings.LEGACY_BACKEND == "json":
        wanted = {str(owner) for owner in owners}
        return _by_name(row for row in _in_file(Path(settings.LEGACY_JSON_PATH), prefix) if row[0] in wanted)
    return _by_name(_query(_LEGACY, owners, prefix))


def in_modern(owners: Collection[UUID], prefix: str) -> Found:
    """The same in the modern tables."""
    return _by_name(_query(_MODERN, owners, prefix))


def _query(sql: str, owners: Collection[UUID], prefix: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(owners), prefix])
        yield from cursor.fetchall()


def _in_file(path: Path, prefix: str) -> Iterator[tuple[Any, ...]]:
    with opened(path) as (stream, _):
        for said in JsonReader(stream, str(path), lines=holds_lines(path)).records():
            row = said.value
            lines = row.get("habits") if isinstance(row, dict) else None
            for line in lines if isinstance(lines, list) else ():
                if isinstance(line, dict) and str(line.get("name", "")).startswith(prefix):
                    whose = str(row.get("user_id")), row.get("child_name"), row.get("week_start_date")
                    yield *whose, line["name"], json.dumps(line.get("times"))


def _by_name(rows: Iterator[tuple[Any, ...]]) -> Found:
    found: Found = {}
    for owner, child, day, name, times in rows:
        monday = monday_of(date.fromisoformat(day)) if day else None
        marks = tuple(status or BLANK for status in json.loads(times or "[]") or ())
        marks += (BLANK,) * (DAYS - len(marks))
        line = StoredLine(owner, normal_child_name(str(child)), monday, name, marks)
        found.setdefault(name, []).append(line)
    return found
