"""Steps that the tests of validation, repair and reports share."""

from __future__ import annotations

import io
import json
from typing import Any

from django.core.management import call_command
from django.db import connection

from migration_ops.definition import AnyMigration, Span
from migration_ops.sync import bookkeeping
from tests.notes import schema


def copy_over(migration: AnyMigration) -> None:
    """What a backfill leaves behind: every note in modern, every row in the lineage or in quarantine."""
    legacy, modern = migration.legacy(), migration.modern()
    page = legacy.scan(Span(), 100_000)
    modern.save(page.documents)
    bookkeeping.record(migration, page)


def fill(count: int) -> list[int]:
    """So many notes of one line, `home`/`n0000` and so on; the ids of their rows."""
    return schema.add_rows(*(("home", f"n{number:04}", f"line {number}") for number in range(count)))


def validate_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command in this process: exit code and its JSON object."""
    code, out, _ = command("validate_migration", "--json", *arguments)
    return code, json.loads(out)


def command(*arguments: str) -> tuple[int, str, str]:
    """Run a command in this process: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def digest() -> dict[str, str]:
    """A fingerprint of the content of every table of the database, but of what this process had still to count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND relname NOT LIKE 'migration_ops_metric%'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        prints = {}
        for table in tables:
            cursor.execute(
                f"SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM \"{table}\" t"
            )
            prints[table] = cursor.fetchone()[0]
        return prints
