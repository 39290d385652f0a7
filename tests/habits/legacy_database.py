"""Rows in the legacy table, and a second connection beside the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from habits.models import User
from habits.seed import table_values
from habits.stores.legacy_rows import COLUMNS
from habits.stores.legacy_schema import create_table
from tests.database import database_url
from tests.habits.legacy_strategies import OTHER_OWNER, OWNER


def prepare() -> None:
    """The legacy table, empty, and two families with accounts."""
    create_table()
    for owner in (OWNER, OTHER_OWNER):
        User.objects.get_or_create(id=owner, defaults={"email": f"{owner}@example.org"})


def row(number: int, **columns: Any) -> dict[str, Any]:
    """A row of the week from 2025-07-21."""
    return {
        "id": number,
        "child_name": "달이",
        "week_period": f"row {number}",
        "theme": "",
        "habits": [{"id": 1, "name": "양치하기", "times": ["green", "", "", "", "", "", ""]}],
        "reflection": {},
        "reward": "",
        "week_start_date": "2025-07-21",
        "user_id": str(OWNER),
        "created_at": "2025-07-21T12:00:00+00:00",
        "updated_at": "2025-07-21T12:00:00+00:00",
        **columns,
    }


def insert(*rows: dict[str, Any]) -> None:
    """Put these rows into the table as they are."""
    sql = f"INSERT INTO habit_tracker ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
    with connection.cursor() as cursor:
        cursor.executemany(sql, [table_values(record) for record in rows])


def everything() -> list[tuple[Any, ...]]:
    """The table as it is, with the version of every row."""
    return query("SELECT xmin::text, h::text FROM habit_tracker h ORDER BY id")


def query(sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return list(cursor.fetchall())


@contextmanager
def second_connection() -> Iterator[psycopg.Connection[Any]]:
    """Somebody else's session, committing at once and waiting for no lock."""
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("SET lock_timeout = '200ms'")
        yield other
