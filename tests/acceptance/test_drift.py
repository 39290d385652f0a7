"""Drift detection on messy data, from either legacy installation: what was touched is found, whatever the sample."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from tests.acceptance.commands import Result, run
from tests.acceptance.modern import query

Rows = Callable[[], list[dict[str, Any]]]

CLEAN = 3
"""Exit code where nothing differs: messy data leaves rows in quarantine."""


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 2}


def detect(*arguments: str) -> Result:
    return run("detect_drift", "--sample", "1", *arguments)


def migrate() -> None:
    assert run("import_owners", "--from-legacy").exit_code == 0
    assert run("stage", "advance").exit_code == 0
    assert run("backfill").exit_code == CLEAN
    first = detect()
    assert (first.exit_code, first["success_rate"]) == (CLEAN, 100)
    assert first["boards_compared"] == query("SELECT count(*) FROM weeks")[0][0]
    again = detect()
    assert (again.exit_code, again["everything_because"], again["touched"]) == (CLEAN, None, 0)


def write(sql: str) -> None:
    """Past the app and past capture."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('migration_ops.origin', 'somebody', false)")
        cursor.execute(sql)
        cursor.execute("SELECT set_config('migration_ops.origin', '', false)")


def praise(row: int) -> None:
    """Change the reward of this legacy row, past the app."""
    if django_settings.LEGACY_BACKEND != "json":
        write(f"UPDATE habit_tracker SET reward = 'praised' WHERE id = {row}")
        return
    file = Path(django_settings.LEGACY_JSON_PATH)
    known = json.loads(file.read_text(encoding="utf-8"))
    for each in known["records"]:
        if each["id"] == row:
            each["reward"] = "praised"
    file.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")


def test_one_cell_among_tens_of_thousands_is_found_explained_or_repaired(legacy_rows: Rows) -> None:
    migrate()
    write(
        "UPDATE habit_records SET status = 'yellow' WHERE id = (SELECT max(id::text)::uuid FROM habit_records"
        " WHERE status IN ('green', 'red'))"
    )

    found = detect()

    assert (found.exit_code, found["touched"], found["mismatched"], found["new"]) == (5, 1, 1, 1)
    (difference,) = found["differences"]
    assert ([each["modern"] for each in difference["fields"]], difference["severity"]) == (["yellow"], "high")
    number = str(difference["id"])
    assert run("detect_drift", "explain", number, "--reason", "a test", "--actor", "ann").exit_code == 0
    assert (detect().exit_code, run("detect_drift", "list")["items"][0]["explained_by"]) == (CLEAN, "ann")
    assert run("detect_drift", "reopen", number).exit_code == 0
    assert run("detect_drift", "repair", number, "--reason", "a test").exit_code == 0
    assert (detect().exit_code, run("detect_drift", "list")["items"]) == (CLEAN, [])
    assert run("validate_migration").exit_code == CLEAN


def test_a_row_that_somebody_changes_past_the_app_is_found(legacy_rows: Rows) -> None:
    migrate()
    ((row,),) = query("SELECT min(row::bigint) FROM migration_ops_lineage WHERE code IS NULL AND row::bigint > 100")
    ((leader,),) = query(
        f"SELECT max(row::bigint) FROM migration_ops_lineage WHERE key ="
        f" (SELECT key FROM migration_ops_lineage WHERE row = '{row}')"
    )
    praise(leader)

    found = detect()

    assert (found.exit_code, found["touched"]) == (5, 1)
    assert [(each["path"], each["legacy"]) for each in found["differences"][0]["fields"]] == [("reward", "praised")]


def test_a_week_that_somebody_deletes_from_either_side_is_found(legacy_table: Rows) -> None:
    migrate()
    ((week, monday),) = query("SELECT id::text, week_start_date::text FROM weeks ORDER BY id DESC LIMIT 1")
    write(
        f"DELETE FROM habit_records USING habits WHERE habits.id = habit_id AND week_id = '{week}';"
        f"DELETE FROM habits WHERE week_id = '{week}'; DELETE FROM weeks WHERE id = '{week}'"
    )
    ((row,),) = query(
        "SELECT max(row) FROM migration_ops_lineage AS one WHERE code IS NULL AND NOT EXISTS ("
        " SELECT FROM migration_ops_lineage AS other WHERE other.key = one.key AND other.row <> one.row)"
        f" AND position('{monday}' IN key) = 0"  # the row of another board than that week
    )
    write(f"DELETE FROM habit_tracker WHERE id = {row}")

    found = detect()

    assert found.exit_code == 5
    assert sorted(each["kind"] for each in found["differences"]) == ["missing_in_legacy", "missing_in_modern"]
