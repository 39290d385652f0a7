"""The legacy table as production has it, for installations where it is missing."""

from __future__ import annotations

from django.db import connection

TABLE = "habit_tracker"

_STATEMENTS = (
    """
    CREATE TABLE habit_tracker (
        id bigserial PRIMARY KEY,
        child_name text NOT NULL,
        week_period text NOT NULL DEFAULT '',
        theme text,
        habits jsonb DEFAULT '[]',
        reflection jsonb DEFAULT '{}',
        reward text,
        created_at timestamptz DEFAULT now(),
        updated_at timestamptz DEFAULT now(),
        week_start_date date,
        user_id uuid,
        UNIQUE (child_name, week_period)
    )
    """,
    "CREATE INDEX habit_tracker_user_id ON habit_tracker (user_id)",
    "CREATE INDEX habit_tracker_week ON habit_tracker (user_id, child_name, week_start_date)",
    """
    CREATE OR REPLACE FUNCTION habit_tracker_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.updated_at := now();
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER habit_tracker_updated_at BEFORE UPDATE ON habit_tracker
        FOR EACH ROW EXECUTE FUNCTION habit_tracker_set_updated_at()
    """,
)


def table_exists() -> bool:
    """Whether there is a legacy table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [TABLE])
        return bool(cursor.fetchone()[0])


def create_table() -> bool:
    """Create the legacy table with its keys, indexes and trigger where it is missing; whether it was."""
    if table_exists():
        return False
    with connection.cursor() as cursor:
        for statement in _STATEMENTS:
            cursor.execute(statement)
    return True
