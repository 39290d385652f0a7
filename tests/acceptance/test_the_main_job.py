"""The main job on messy data, from either legacy installation, compared with an oracle that shares no code with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.acceptance.commands import run
from tests.acceptance.modern import boards, query
from tests.acceptance.oracle import Expected, band_of, expect

Rows = Callable[[], list[dict[str, Any]]]


def oracle(rows: Rows) -> Expected:
    return expect(rows(), {str(owner) for (owner,) in query("SELECT id FROM users")})


def migrate() -> None:
    assert run("import_owners", "--from-legacy").exit_code == 0
    assert run("stage", "advance", "--actor", "the test").exit_code == 0
    assert run("backfill").exit_code == 3


def quarantined() -> dict[str, str]:
    listed = run("quarantine", "list", "--limit", "100000").data["items"]
    return {str(item["row"]): item["code"] for item in listed if item.get("held_by") is None}


def test_every_board_is_what_the_policy_says(legacy_rows: Rows) -> None:
    migrate()
    expected = oracle(legacy_rows)
    found = boards()
    assert found.keys() == expected.boards.keys()
    for key, board in expected.boards.items():
        moved = dict(found[key])
        bands = moved.pop("bands")
        assert moved == board, key
        assert bands == [band_of(name) for name, _ in board["habits"]], key
    assert quarantined() == expected.rejected


def test_counts_add_up_to_the_row(legacy_rows: Rows) -> None:
    assert run("import_owners", "--from-legacy").exit_code == 0
    assert run("stage", "advance").exit_code == 0
    done = run("backfill")
    expected = oracle(legacy_rows)
    assert done["rows_read"] == len(legacy_rows())
    parts = ("boards_written", "boards_unchanged", "boards_merged", "rows_quarantined")
    assert done["rows_read"] == sum(done[part] for part in parts)
    assert done["boards_written"] == len(expected.boards)
    assert done["rows_quarantined"] == len(expected.rejected) + len(expected.held)


def test_validation_counts_every_mark_and_finds_nothing(legacy_rows: Rows) -> None:
    migrate()
    checked = run("validate_migration")
    expected = oracle(legacy_rows)
    assert checked.exit_code == 3
    assert checked["complete"]
    assert checked["success_rate"] == 100
    assert checked["boards_compared"] == checked["matched"] == len(expected.boards)
    assert checked["cells"] == {"legacy": expected.marks, "modern": expected.marks, "equal": expected.marks}
    assert checked["legacy_rows"] == len(legacy_rows())
    assert checked["rows_quarantined"] == len(expected.rejected) + len(expected.held)


def test_a_second_backfill_writes_nothing(legacy_rows: Rows) -> None:
    migrate()
    before = query("SELECT r.xmin::text, r.ctid::text, r.id FROM habit_records r ORDER BY r.id")
    lineage = query("SELECT xmin::text, row FROM migration_ops_lineage ORDER BY row")
    again = run("backfill")
    assert again["boards_written"] == 0
    assert again["boards_unchanged"] == len(oracle(legacy_rows).boards)
    assert query("SELECT r.xmin::text, r.ctid::text, r.id FROM habit_records r ORDER BY r.id") == before
    assert query("SELECT xmin::text, row FROM migration_ops_lineage ORDER BY row") == lineage


def test_every_legacy_row_is_accounted_for(legacy_rows: Rows) -> None:
    migrate()
    lineage = dict(query("SELECT row, code FROM migration_ops_lineage"))
    expected = oracle(legacy_rows)
    assert len(lineage) == len(legacy_rows())
    assert {row for row, code in lineage.items() if code} == expected.rejected.keys() | expected.held
