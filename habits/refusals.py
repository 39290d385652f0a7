"""What it means for a legacy row that the modern database refused its board."""

from __future__ import annotations

from django.db import DatabaseError

CODE_BY_CONSTRAINT = {
    "children_name_length": "child_name_invalid",
    "children_user_id_fkey": "owner_unknown",
    "weeks_user_id_fkey": "owner_unknown",
    "weeks_start_on_monday": "week_unreadable",
    "weeks_start_in_range": "week_unreadable",
    "weeks_end_on_sunday": "week_unreadable",
    "weeks_reflection_is_object": "reflection_malformed",
    "habits_name_length": "habit_name_invalid",
    "habits_display_order_from_0": "habits_malformed",
    "habit_records_status_known": "status_unknown",
}

CODE_BY_SQLSTATE = {
    "21000": "duplicate_key",  # cardinality violation: one statement, the same row twice
    "22007": "week_unreadable",  # invalid datetime format
    "22008": "week_unreadable",  # datetime out of range
    "23505": "duplicate_key",  # unique violation
    "54000": "record_too_large",  # program limit exceeded, e.g. a value too long for its index
    "22001": "record_too_large",  # string too long for its column
}

CODE_BY_TABLE = {
    "children": "child_name_invalid",
    "weeks": "week_unreadable",
    "habits": "habits_malformed",
    "habit_records": "times_malformed",
}


def code_for_error(error: DatabaseError) -> str:
    """The rejection code that comes nearest: by the constraint that was violated, else by SQLSTATE, else by the table.

    What is left is text that PostgreSQL cannot store.
    """
    diagnosis = getattr(error.__cause__, "diag", None)
    constraint = getattr(diagnosis, "constraint_name", None) or ""
    sqlstate = getattr(diagnosis, "sqlstate", None) or ""
    table = getattr(diagnosis, "table_name", None) or ""
    return (
        CODE_BY_CONSTRAINT.get(constraint)
        or CODE_BY_SQLSTATE.get(sqlstate)
        or CODE_BY_TABLE.get(table)
        or "text_invalid"
    )
