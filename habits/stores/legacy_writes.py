"""What is written to the legacy table, statement by statement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection

from habits.board import DAYS, BoardKey, encode_key
from habits.stores.exact_json import encode
from habits.stores.legacy_changes import periods_of
from habits.stores.legacy_heads import row_numbers
from migration_ops.definition import Side
from migration_ops.exceptions import UnusableInput
from migration_ops.models import BeforeImage

_MANY = 500
_JSON_COLUMNS = frozenset({"habits", "reflection"})


def archive_and_delete(migration: str, rows: Collection[tuple[int, BoardKey]]) -> None:
    """Remove these rows; an exact copy of each is kept as a before-image."""
    if not rows:
        return
    numbers = [number for number, _ in rows]
    keys = [encode_key(key) for _, key in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {BeforeImage._meta.db_table} (migration, side, key, row, image, cause, actor, at)"
            " SELECT %s, %s, gone.key, h.id::text, to_jsonb(h), 'archived_row', '', now()"
            "   FROM unnest(%s::bigint[], %s::text[]) AS gone (id, key) JOIN habit_tracker h USING (id)",
            [migration, Side.LEGACY.value, numbers, keys],
        )
        cursor.execute("DELETE FROM habit_tracker WHERE id = ANY(%s)", [numbers])


def update_rows(updates: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """Set these columns of these rows, and no others."""
    by_columns: dict[tuple[str, ...], list[list[Any]]] = {}
    for number, changes in updates:
        if changes:
            arguments = [_argument(column, value) for column, value in changes.items()]
            by_columns.setdefault(tuple(changes), []).append([*arguments, number])
    with connection.cursor() as cursor:
        for columns, rows in by_columns.items():
            assignments = ", ".join(f"{column} = {_placeholder(column)}" for column in columns)
            cursor.executemany(f"UPDATE habit_tracker SET {assignments} WHERE id = %s", rows)


def insert_rows(records: Sequence[dict[str, Any]]) -> None:
    """Add these rows of new boards; the table gives them their ids.

    The table has one row a child's name and `week_period`, whoever owns it. Where another family has taken the period,
    the row gets the first free one of the week's later days; its date stays the Monday.

    Raises:
        IntegrityError: all seven are taken.
    """
    # In one order, so that two transactions that add the same names wait for each other and never in a circle.
    left = sorted(records, key=lambda record: (record["child_name"], record["week_start_date"], record["user_id"]))
    for day in range(DAYS):
        conflict = "" if day == DAYS - 1 else "ON CONFLICT (child_name, week_period) DO NOTHING"
        added: set[tuple[str, ...]] = set()
        for start in range(0, len(left), _MANY):
            added |= _insert(left[start : start + _MANY], conflict)
        left = [_a_day_later(record) for record in left if _place(record) not in added]


def _insert(records: Sequence[dict[str, Any]], conflict: str) -> set[tuple[str, ...]]:
    """The places of those of the rows that were added."""
    columns = tuple(records[0])
    row = f"({', '.join(_placeholder(column) for column in columns)})"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO habit_tracker ({', '.join(columns)}) VALUES {', '.join([row] * len(records))} {conflict}"
            " RETURNING user_id::text, child_name, week_period",
            [_argument(column, record[column]) for record in records for column in columns],
        )
        return set(cursor.fetchall())


def _place(record: dict[str, Any]) -> tuple[str, ...]:
    return record["user_id"], record["child_name"], record["week_period"]


def _a_day_later(record: dict[str, Any]) -> dict[str, Any]:
    """The row under the period that begins a day after the one it was to have."""
    periods = periods_of(date.fromisoformat(record["week_start_date"]))
    later = periods[periods.index(record["week_period"]) + 1]
    return {**record, "week_period": later}


def assign_owner(rows: Collection[str], owner: UUID) -> int:
    """Give these rows, which must have no owner, this one; how many there were.

    Raises:
        UnusableInput: a row has an owner already; nothing was changed.
    """
    numbers = row_numbers(rows)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, user_id FROM habit_tracker WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [numbers])
        owned = [(number, known) for number, known in cursor.fetchall() if known is not None]
        if owned:
            number, known = owned[0]
            raise UnusableInput(f"Row {number} has an owner already ({known}); an owner never changes.")
        cursor.execute("UPDATE habit_tracker SET user_id = %s WHERE id = ANY(%s)", [owner, numbers])
        return int(cursor.rowcount)


def _placeholder(column: str) -> str:
    return "%s::jsonb" if column in _JSON_COLUMNS else "%s"


def _argument(column: str, value: Any) -> Any:
    return encode(value) if column in _JSON_COLUMNS else value
