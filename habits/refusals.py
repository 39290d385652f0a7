"""What it means for a legacy row that the modern database refused its board."""

from __future__ import annotations

import re
from typing import Any

from django.db import DatabaseError, connection

CODE_WHEREVER = {
    "21000": "duplicate_key",  # cardinality violation: one statement, the same row twice
    "23505": "duplicate_key",  # unique violation
    "23P01": "duplicate_key",  # exclusion violation
    "22021": "text_invalid",  # character not in repertoire, e.g. NUL
    "22P05": "text_invalid",  # untranslatable character, e.g. NUL within JSON
    "54000": "record_too_large",  # program limit exceeded, e.g. a value too long for its index
}
"""By SQLSTATE, where that alone says what is wrong, whatever the column."""

CODE_BY_COLUMN = {
    ("children", "name"): "child_name_invalid",
    ("children", "user_id"): "owner_unknown",
    ("weeks", "theme"): "text_invalid",
    ("weeks", "reward"): "text_invalid",
    ("weeks", "reflection"): "reflection_malformed",
    ("weeks", "week_start_date"): "week_unreadable",
    ("weeks", "week_end_date"): "week_unreadable",
    ("weeks", "user_id"): "owner_unknown",
    ("habits", "name"): "habit_name_invalid",
    ("habits", "time_period"): "habits_malformed",
    ("habits", "display_order"): "habits_malformed",
    ("habits", "legacy_id"): "habits_malformed",
    ("habit_records", "status"): "status_unknown",
    ("habit_records", "record_date"): "times_malformed",
}
"""What families write comes before dates and owners: of a constraint on several columns the first decides, and a rule
such as "no reward before May" is about rewards."""

CODE_BY_SQLSTATE = {
    "22001": "record_too_large",  # string too long for its column
    "22007": "week_unreadable",  # invalid datetime format
    "22008": "week_unreadable",  # datetime out of range
}
"""By SQLSTATE, where nobody names a column."""

CODE_BY_TABLE = {
    "children": "child_name_invalid",
    "weeks": "week_unreadable",
    "habits": "habits_malformed",
    "habit_records": "times_malformed",
}

COLUMNS = """
SELECT attname FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
 WHERE conname = %s AND conrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))
"""

_COPIED = re.compile(r"^COPY (\w+), line \d+(?:, column (\w+))?", re.MULTILINE)
"""Where a value was refused while it was copied in, as PostgreSQL says it in English."""


def code_for_error(error: DatabaseError) -> str:
    """The rejection code that comes nearest: by the columns that were refused, else by SQLSTATE, else by the table.

    Which columns a violated constraint speaks of is asked of the database, so the transaction that failed must be over,
    or rolled back to a savepoint. What is left is text that PostgreSQL cannot store.
    """
    diagnosis = getattr(error.__cause__, "diag", None)
    sqlstate = getattr(diagnosis, "sqlstate", None) or ""
    copied = _COPIED.search(getattr(diagnosis, "context", None) or "")
    table = getattr(diagnosis, "table_name", None) or (copied[1] if copied else "")
    columns = _columns(diagnosis, table) or ({copied[2]} if copied else set())
    return (
        CODE_WHEREVER.get(sqlstate)
        or next((code for (of, column), code in CODE_BY_COLUMN.items() if of == table and column in columns), None)
        or CODE_BY_SQLSTATE.get(sqlstate)
        or CODE_BY_TABLE.get(table)
        or "text_invalid"
    )


def _columns(diagnosis: Any, table: str) -> set[str]:
    """The columns the server names, or those the violated constraint speaks of."""
    column = getattr(diagnosis, "column_name", None)
    if column:
        return {column}
    constraint = getattr(diagnosis, "constraint_name", None)
    if not constraint or not table:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [constraint, getattr(diagnosis, "schema_name", None), table])
        return {name for (name,) in cursor.fetchall()}
