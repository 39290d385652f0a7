"""A backfill of a file beside the table, killed with SIGKILL at every step, ends as if nobody had touched it."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migration_ops.backfill import batch, completion, finish, service
from tests.acceptance.commands import run, run_apart
from tests.acceptance.modern import digest, query
from tests.acceptance.source_files import imported, load, write

STEPS = (batch.BEGUN, batch.READ, batch.SAVED, batch.RECORDED, batch.ADVANCED, batch.COMMITTED)
PLACES = (service.OPENED, *(f"{step}:2" for step in STEPS), finish.DRAINED, completion.CLOSED)


def backfill(*arguments: str, failpoint: str = "") -> int:
    return run_apart("backfill", "--batch-size", "25", *arguments, failpoint=failpoint)


def export(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An export with the ids of the table: some boards as they are, some with other content, some of other children."""
    chosen = random.Random(3).sample(rows, 300)
    for number, row in enumerate(chosen):
        if number % 3 == 1:
            row["theme"] = f"theme {number}"
        if number % 3 == 2 and isinstance(row["child_name"], str):
            row["child_name"] = f"{row['child_name'][:50]} B"
    return chosen


def state() -> tuple[Any, ...]:
    """Everything that may not depend on where the run was killed."""
    return (
        digest(),
        query("SELECT source, row, key, code, fingerprint FROM migration_ops_lineage ORDER BY source, row"),
        query("SELECT source, row, key, code, message, status FROM migration_ops_quarantineitem ORDER BY source, row"),
        query("SELECT source, key, rows, conflicts FROM migration_ops_mergerecord ORDER BY source, key"),
        query("SELECT source, key FROM migration_ops_importeddocument ORDER BY key"),
    )


@pytest.mark.usefixtures("transactional_db")
def test_killed_at_every_step_a_file_beside_the_table_ends_in_the_same_data(
    legacy_table: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    assert run("import_owners", "--from-legacy").exit_code == 0
    assert run("stage", "advance").exit_code == 0
    assert run("backfill").exit_code == 3
    table = state()
    file = write(tmp_path / "export.json", export(legacy_table()))

    for place in PLACES:
        assert backfill("--source", str(file), failpoint=place) == -signal.SIGKILL, place
    assert backfill("--source", str(file)) == 3
    killed = state()
    assert imported() > 0
    assert any(code == "duplicate_key" for _, _, _, code, _ in killed[1])
    assert [row for row in killed[1] if row[0] == ""] == table[1]
    assert [row for row in killed[2] if row[0] == ""] == table[2]

    again = load(file)
    assert (again["boards_written"], again["source"]) == (0, str(file))
    assert state() == killed
    ordinary = run("backfill")
    assert (ordinary["boards_written"], ordinary["vanished"]) == (0, 0)
    assert state() == killed
