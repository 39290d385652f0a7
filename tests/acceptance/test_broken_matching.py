"""The mistake this product exists for, made once more on purpose: habits told apart by their legacy id.

The migration it is modelled on lost a third of the marks that way and reported 100 %, because it compared counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest

from habits.board import Board
from habits.migration import boards as migration
from habits.stores.modern import ModernStore
from migration_ops import registry
from migration_ops.definition import Saved
from tests.acceptance.commands import run
from tests.acceptance.modern import query


class ByLegacyId(ModernStore):
    """Broken on purpose: of the habits of a board that share a legacy id only the last is written."""

    def save(self, documents: Collection[Board]) -> Saved:
        return super().save([replace(board, habits=_by_legacy_id(board)) for board in documents])


def _by_legacy_id(board: Board) -> tuple[Any, ...]:
    return tuple({habit.legacy_id: habit for habit in board.habits}.values())


@pytest.fixture
def broken() -> Iterator[None]:
    """The migration of boards with the broken store, and with the real one again afterwards."""
    registry.unregister(migration.name)
    registry.register(replace(migration, modern=ByLegacyId))
    yield
    registry.unregister(migration.name)
    registry.register(migration)


def test_marks_lost_by_matching_habits_by_their_legacy_id_are_found_and_named(
    legacy_table: Callable[[], list[dict[str, Any]]], broken: None
) -> None:
    assert run("import_owners", "--from-legacy").exit_code == 0
    assert run("stage", "advance").exit_code == 0
    run("backfill")
    registry.unregister(migration.name)
    registry.register(migration)
    weeks, lineage = query(
        "SELECT (SELECT count(*) FROM weeks),"
        " (SELECT count(DISTINCT key) FROM migration_ops_lineage WHERE code IS NULL)"
    )[0]
    assert weeks == lineage, "counts say that everything is there"
    checked = run("validate_migration")
    assert checked.exit_code == 5
    assert checked["mismatched"] > 0
    assert checked["cells"]["equal"] < checked["cells"]["legacy"]
    assert checked["success_rate"] < 100
    paths = {field["path"] for difference in checked["differences"] for field in difference["fields"]}
    assert "habits.length" in paths
    assert run("stage", "advance").exit_code == 4
