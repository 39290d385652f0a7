"""The two tables of the tiny domain."""

from __future__ import annotations

from django.db import connection

CREATE = """
CREATE TABLE IF NOT EXISTS legacy_notes (
    id bigserial PRIMARY KEY,
    notebook text,
    title text,
    body text
);
CREATE INDEX IF NOT EXISTS legacy_notes_key ON legacy_notes (notebook, title);
CREATE TABLE IF NOT EXISTS modern_notes (
    id bigserial PRIMARY KEY,
    notebook text NOT NULL,
    title text NOT NULL,
    lines text[] NOT NULL,
    UNIQUE (notebook, title)
);
"""

END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND usename = current_user AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
)

DROP = """
DROP TABLE IF EXISTS legacy_notes;
DROP TABLE IF EXISTS modern_notes;
DO $$
DECLARE
    captured regprocedure;
BEGIN
    FOR captured IN SELECT oid FROM pg_proc WHERE proname LIKE 'capture\\_%\\_notes\\_%' LOOP
        EXECUTE format('DROP FUNCTION %s', captured);
    END LOOP;
END $$;
"""


def create_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute(CREATE)


def drop_tables() -> None:
    """Also if a test that failed left a transaction open that holds them."""
    with connection.cursor() as cursor:
        cursor.execute(END_OTHERS)
        cursor.execute(DROP)


def add_rows(*rows: tuple[str | None, str | None, str | None]) -> list[int]:
    """Insert legacy rows (notebook, title, body); their ids in order."""
    ids = []
    with connection.cursor() as cursor:
        for row in rows:
            cursor.execute("INSERT INTO legacy_notes (notebook, title, body) VALUES (%s, %s, %s) RETURNING id", row)
            ids.append(cursor.fetchone()[0])
    return ids


def modern_rows() -> list[tuple[str, str, list[str]]]:
    """Everything in the modern table, by key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT notebook, title, lines FROM modern_notes ORDER BY notebook, title")
        return cursor.fetchall()
