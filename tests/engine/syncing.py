"""Steps that the tests of capture, applier and quarantine share."""

from __future__ import annotations

import io
import json
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction

from config.embedded.postgres_server import SUPERUSER
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import DirtyKey, MigrationState
from migration_ops.sync import capture


def run(sql: str, *parameters: Any) -> int:
    """Run SQL past the app; how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.rowcount


def rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall()


def noted() -> list[str]:
    """Rows on the dirty list, in the order they got there."""
    return list(DirtyKey.objects.order_by("id").values_list("row", flat=True))


def noted_once() -> list[str]:
    """The same without repetition, sorted; the list is empty afterwards."""
    found = sorted(set(noted()), key=int)
    DirtyKey.objects.all().delete()
    return found


def second_connection() -> psycopg.Connection[Any]:
    """Somebody else, who knows nothing of the engine."""
    names = ("dbname", "user", "password", "host", "port")
    known = connection.get_connection_params()
    return psycopg.connect(**{name: known[name] for name in names if name in known})


def superuser_connection() -> psycopg.Connection[Any]:
    """Somebody who may do everything; skips the test where the server is somebody else's, who grants no such thing."""
    names = ("dbname", "user", "password", "host", "port")
    known = connection.get_connection_params()
    mine = {name: known[name] for name in names if name in known}
    for account in (mine, {**mine, "user": SUPERUSER}):
        try:
            other = psycopg.connect(**account, autocommit=True)
        except psycopg.OperationalError:
            continue
        if other.info.parameter_status("is_superuser") == "on":
            return other
        other.close()
    pytest.skip("no account of this server is a superuser's that we know of")


def hide_rows_of(table: str) -> None:
    """From this very session, by row security; skips the test where no row is ever hidden from its account."""
    if rows("SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"):
        pytest.skip("row security hides nothing from this account")
    run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    run(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def begin_dual_write(migration: AnyMigration) -> None:
    """What `stage advance` does from `off`, without its gates: capture on, stage `dual_write`."""
    with transaction.atomic():
        capture.install(migration)
        MigrationState.objects.create(name=migration.name, capture_lost=capture.lost_total())
        run(
            "UPDATE migration_ops_migrationstate SET stage = 'dual_write', version = version + 1,"
            " capture_since = clock_timestamp() WHERE name = %s",
            migration.name,
        )


def go_to_ramp(migration: AnyMigration, *, percent: int) -> None:
    """What `stage advance` does on the way from `dual_write` to `ramp`, without its gates."""
    step = "UPDATE migration_ops_migrationstate SET stage = %s, percent = %s, version = version + 1 WHERE name = %s"
    with transaction.atomic():
        run(step, "shadow", 0, migration.name)
        capture.install(migration, side=Side.MODERN)
        run(step, "ramp", percent, migration.name)


def go_to_live(migration: AnyMigration) -> None:
    """The same on the way from `dual_write` to `live`."""
    go_to_ramp(migration, percent=100)
    run("UPDATE migration_ops_migrationstate SET stage = 'live', version = version + 1 WHERE name = %s", migration.name)


def command(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run `manage.py … --json` in this process: exit code and the one JSON object it prints."""
    out, errors = io.StringIO(), io.StringIO()
    try:
        call_command(*arguments, "--json", stdout=out, stderr=errors)
        exit_code = 0
    except SystemExit as end:
        exit_code = int(end.code or 0)
    (line,) = out.getvalue().splitlines()
    return exit_code, json.loads(line)
