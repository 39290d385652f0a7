"""A backfill killed with SIGKILL again and again, each time somewhere else, ends in the same data."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from migration_ops.backfill import batch
from tests.acceptance.commands import run, run_apart
from tests.acceptance.modern import boards, query
from tests.acceptance.oracle import expect

PLACES = (batch.BEGUN, batch.READ, batch.SAVED, batch.RECORDED, batch.ADVANCED, batch.COMMITTED)


def backfill(failpoint: str) -> int:
    return run_apart("backfill", "--batch-size", "150", failpoint=failpoint)


def test_killed_at_every_step_of_a_batch_it_ends_in_the_same_data(
    legacy_rows: Callable[[], list[dict[str, Any]]],
) -> None:
    assert run("import_owners", "--from-legacy").exit_code == 0
    assert run("stage", "advance").exit_code == 0
    for place in PLACES:
        assert backfill(f"{place}:2") == -signal.SIGKILL, place
    assert backfill("") == 3
    status = run("backfill", "status")
    assert status["rows_read"] == len(legacy_rows())
    expected = expect(legacy_rows(), {str(owner) for (owner,) in query("SELECT id FROM users")})
    found = boards()
    assert found.keys() == expected.boards.keys()
    for key, board in expected.boards.items():
        assert {name: value for name, value in found[key].items() if name != "bands"} == board, key
    assert run("validate_migration").exit_code == 3
