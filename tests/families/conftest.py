"""Installations in which families live: the legacy data in a table or in a file, at a stage of the migration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from habits.migration import boards
from migration_ops.definition import Side
from migration_ops.sync import capture
from tests.engine.syncing import begin_dual_write, go_to_live, go_to_ramp
from tests.habits import legacy_database, legacy_files

STAGES = ("off", "dual_write", "ramp", "live")


@dataclass(frozen=True)
class Installation:
    """Where the legacy data is: in a file, or, without one, in the table."""

    file: Path | None = None

    def reach(self, stage: str) -> None:
        """Bring the migration to this stage; at `ramp` every family is served from modern."""
        if stage != "off":
            begin_dual_write(boards)
        if stage == "ramp":
            go_to_ramp(boards, percent=100)
        if stage == "live":
            go_to_live(boards)

    def insert(self, *rows: dict[str, Any]) -> None:
        """Put rows of `OWNER` into legacy past the app."""
        rows = tuple({**row, "user_id": str(legacy_files.OWNER)} for row in rows)
        if self.file is None:
            legacy_database.insert(*rows)
        else:
            known = json.loads(self.file.read_text(encoding="utf-8"))
            known["records"] += rows
            self.file.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")

    def rows(self) -> list[dict[str, Any]]:
        """Every legacy row as it stands there, by id."""
        if self.file is not None:
            return sorted(json.loads(self.file.read_text(encoding="utf-8"))["records"], key=lambda row: row["id"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(h)::text FROM habit_tracker h ORDER BY id")
            return [json.loads(row) for (row,) in cursor.fetchall()]

    def marks(self) -> list[list[list[str]]]:
        """The marks of every legacy row, by id."""
        return [[entry["times"] for entry in row["habits"]] for row in self.rows()]


@pytest.fixture
def uncaptured() -> Iterator[None]:
    """Afterwards nothing of the modern tables is captured any more: other tests do not expect it."""
    yield
    with transaction.atomic():
        capture.remove(boards, side=Side.MODERN)


@pytest.fixture
def table(transactional_db: None, uncaptured: None) -> Iterator[Installation]:
    legacy_database.prepare()
    legacy_files.create_owners()
    yield Installation()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS habit_tracker CASCADE")


@pytest.fixture
def file(transactional_db: None, uncaptured: None, settings: Any, tmp_path: Path) -> Installation:
    path = tmp_path / "habit_tracker.json"
    path.write_text('{"records": []}', encoding="utf-8")
    settings.LEGACY_BACKEND = "json"
    settings.LEGACY_JSON_PATH = str(path)
    settings.VAR_DIR = tmp_path / "var"
    legacy_files.create_owners()
    return Installation(path)


@pytest.fixture(params=["table", "file"])
def installation(request: pytest.FixtureRequest, transactional_db: None) -> Installation:
    """Either kind."""
    made: Installation = request.getfixturevalue(request.param)
    return made


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, installation: Installation) -> str:
    """The installation at one of the stages at which families are served."""
    installation.reach(request.param)
    return str(request.param)


@pytest.fixture
def in_both(installation: Installation) -> None:
    """The installation at `dual_write`."""
    installation.reach("dual_write")
