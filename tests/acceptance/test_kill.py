"""A backfill killed with SIGKILL again and again, each time somewhere else, ends in the same data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from migration_ops.backfill import batch
from tests.acceptance.commands import run
from tests.acceptance.modern import boards, query
from tests.acceptance.oracle import expect
from tests.database import database_url

ROOT = Path(__file__).resolve().parents[2]
PLACES = (batch.BEGUN, batch.READ, batch.SAVED, batch.RECORDED, batch.ADVANCED, batch.COMMITTED)


def backfill(failpoint: str) -> int:
    """`manage.py backfill` as a process of its own; its exit code, negative for a signal."""
    done = subprocess.run(
        [sys.executable, "manage.py", "backfill", "--json", "--batch-size", "150"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "LEGACY_BACKEND": settings.LEGACY_BACKEND,
            "LEGACY_JSON_PATH": settings.LEGACY_JSON_PATH,
            "VAR_DIR": str(settings.VAR_DIR),
            "MIGRATION_OPS_FAILPOINT": failpoint,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode


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
