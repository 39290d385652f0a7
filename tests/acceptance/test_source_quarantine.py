"""Decisions about rows of a file that was loaded beside the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from habits.migration import boards as migration
from migration_ops.models import DirtyKey, QuarantineItem
from migration_ops.rollout import routing
from migration_ops.sync import dirty
from migration_ops.sync.dual_write import Outcome, writing
from tests.acceptance.commands import run
from tests.acceptance.modern import query
from tests.acceptance.source_files import GREEN, RED, board, first_marks, lineage, load, write
from tests.habits.legacy_database import insert
from tests.habits.legacy_strategies import OWNER

PURPLE, YELLOW = ("purple", *[""] * 6), ("yellow", *[""] * 6)

pytestmark = pytest.mark.usefixtures("small_table")


def item(file: Path, row: int) -> str:
    """The id by which decisions name this row of the file."""
    return str(QuarantineItem.objects.get(source=str(file), row=str(row)).pk)


def test_a_list_names_the_row_and_the_file_it_is_of(tmp_path: Path) -> None:
    insert(board(5, "다섯", user_id=None))
    assert run("sync_changes").exit_code == 0
    file = write(tmp_path / "export.json", [board(5, "가", user_id=None)])
    load(file)
    items = run("quarantine", "list")["items"]
    assert [(each["row"], each["source"], each["code"]) for each in items] == [
        (5, None, "owner_missing"),
        (5, str(file), "owner_missing"),
    ]


def test_an_acceptance_counts_when_the_file_is_read_again(tmp_path: Path) -> None:
    rows = [board(1, "하나", RED), board(2, "가", PURPLE), board(3, "가"), board(4, "나", PURPLE)]
    file = write(tmp_path / "export.json", rows)
    assert load(file)["rows_quarantined"] == 4
    accepted = run("quarantine", "accept", item(file, 1), item(file, 2), "--reason", "asked")
    assert accepted.exit_code == 0
    assert (accepted["open"], accepted["accepted"], accepted["applied"]) == (2, 2, 0)
    assert any(f"backfill --source {file}" in sentence for sentence in accepted["advice"])
    assert not DirtyKey.objects.exists()
    done = load(file)
    assert (done.exit_code, done["boards_written"], done["rows_quarantined"]) == (3, 1, 3)
    assert first_marks() == {"하나": "green", "둘": "green", "셋": "green", "가": "green"}
    listed = run("quarantine", "list")
    assert {each["row"]: each["status"] for each in listed["items"]} == {1: "accepted", 2: "accepted", 4: "open"}
    assert run("quarantine", "accept", item(file, 4)).exit_code == 0
    assert load(file).exit_code == 0
    write(file, [board(1, "하나", YELLOW), *rows[1:]])
    assert load(file).exit_code == 3, "the row changed since somebody accepted it"


def test_an_acceptance_counts_for_no_row_of_the_same_id_elsewhere(tmp_path: Path) -> None:
    insert(board(8, "여덟", PURPLE), board(9, "여덟"))
    assert run("sync_changes").exit_code == 0
    file = write(tmp_path / "export.json", [board(8, "여덟", PURPLE), board(9, "여덟")])
    other = write(tmp_path / "other.json", [board(8, "여덟", PURPLE), board(9, "여덟")])
    load(file)
    load(other)
    assert run("quarantine", "accept", item(file, 8)).exit_code == 0
    assert load(file)["boards_written"] == 0
    assert load(other)["boards_written"] == 0
    assert run("sync_changes").exit_code == 0
    assert run("backfill")["rows_quarantined"] == 2
    assert "여덟" not in first_marks()
    statuses = query("SELECT source, status FROM migration_ops_quarantineitem WHERE row = '8' ORDER BY source")
    assert statuses == [("", "open"), (str(file), "accepted"), (str(other), "open")]


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_an_owner_is_not_written_into_a_file(tmp_path: Path, dry_run: list[str]) -> None:
    file = write(tmp_path / "export.json", [board(2, "가", user_id=None)])
    load(file)
    before = file.read_bytes()
    refused = run("quarantine", "assign-owner", item(file, 2), "--owner", str(OWNER), *dry_run)
    assert refused.exit_code == 2
    assert "Correct the file" in refused["error"]
    assert f"backfill --source {file}" in refused["error"]
    assert file.read_bytes() == before
    assert query("SELECT count(*) FROM habit_tracker WHERE user_id IS NULL") == [(0,)]
    assert not DirtyKey.objects.exists()

    write(file, [board(2, "가")])
    assert load(file).exit_code == 0
    assert first_marks()["가"] == "green"
    assert run("quarantine", "list")["open"] == 0


def test_a_retry_says_how_rows_of_a_file_are_looked_at_again(tmp_path: Path) -> None:
    insert(board(7, "일곱", PURPLE))
    assert run("sync_changes").exit_code == 0
    file = write(tmp_path / "export.json", [board(1, "하나", RED), board(7, "가", PURPLE)])
    load(file)
    would = run("quarantine", "retry", "--dry-run")
    assert [each["source"] for each in would["items"]] == [None]
    retried = run("quarantine", "retry")
    assert (retried.exit_code, retried["open"], retried["applied"]) == (3, 3, 1)
    for said in (would, retried):
        assert said["advice"] == [
            f"2 of these rows are of {file}; `manage.py backfill --source {file}` looks at them again."
        ]
    assert {row: code for row, code in lineage(file).items() if code} == {"1": "duplicate_key", "7": "status_unknown"}
    write(file, [board(1, "하나", GREEN), board(7, "가")])
    assert load(file)["rows_quarantined"] == 0
    assert run("quarantine", "list")["open"] == 1


def test_a_held_row_of_a_file_holds_no_board_of_the_legacy_store(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "하나", RED)])
    assert load(file)["rows_quarantined"] == 1
    ((encoded,),) = query("SELECT key FROM migration_ops_lineage WHERE source = '' AND row = '1'")
    key = migration.decode_key(encoded)
    unit = migration.unit(key)
    assert routing.held(migration, [key], routing.authority(migration, unit)) == set()
    assert dirty.exceptional(migration, migration.unit_prefix(unit)) == set()
    with writing(migration, key) as draft:
        draft.document = replace(draft.document, theme="new")
    assert draft.outcome is Outcome.BOTH
    assert run("validate_migration")["mismatched"] == 0
