"""Fixtures of the acceptance tests: a legacy installation as it stands in production."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.acceptance.commands import run
from tests.acceptance.modern import query
from tests.acceptance.oracle import read
from tests.acceptance.processes import Processes
from tests.acceptance.source_files import board
from tests.habits.legacy_database import insert, prepare

ROWS = "SELECT to_jsonb(t)::text FROM habit_tracker t ORDER BY id"


@pytest.fixture
def legacy_table(transactional_db: None) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """2,000 messy rows in the legacy table; call it for the rows as they are now."""
    assert run("seed_legacy", "--rows", "2000", "--seed", "7", "--messy", "--reset").exit_code == 0

    def rows() -> list[dict[str, Any]]:
        return [read(row) for (row,) in query(ROWS)]

    yield rows
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS habit_tracker")


@pytest.fixture
def legacy_file(transactional_db: None, settings: Any, tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """2,000 messy rows in a legacy JSON file; call it for the rows as they are now."""
    path = tmp_path / "habit_tracker.json"
    settings.LEGACY_BACKEND = "json"
    settings.LEGACY_JSON_PATH = str(path)
    settings.VAR_DIR = tmp_path / "var"
    assert run("seed_legacy", "--rows", "2000", "--seed", "7", "--messy", "--reset").exit_code == 0
    return lambda: read(path.read_text(encoding="utf-8"))["records"]


@pytest.fixture(params=["legacy_table", "legacy_file"])
def legacy_rows(request: pytest.FixtureRequest, transactional_db: None) -> Callable[[], list[dict[str, Any]]]:
    """The legacy rows as they are now, from either kind of installation."""
    rows: Callable[[], list[dict[str, Any]]] = request.getfixturevalue(request.param)
    return rows


@pytest.fixture
def small_table(transactional_db: None) -> Iterator[None]:
    """Rows 1 to 3 in the table, a child each, carried over; the migration is at `dual_write`."""
    prepare()
    insert(board(1, "하나"), board(2, "둘"), board(3, "셋"))
    assert run("stage", "advance").exit_code == 0
    assert run("backfill").exit_code == 0
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE habit_tracker")


@pytest.fixture
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.kill_all()
