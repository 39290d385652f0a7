"""Made-up legacy data, in the table or in a file."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db.models import F
from pytest_django import Settings

from habits.migration import boards
from habits.owners import legacy_owners
from habits.seed import table_values
from habits.seed_data import DataSet
from habits.stores.legacy_boards import assemble
from habits.stores.legacy_json import LegacyJsonStore
from habits.stores.legacy_rows import COLUMNS, ParsedRow
from habits.stores.legacy_verdict import CODES, parse
from migration_ops.models import MigrationState
from migration_ops.stages import ORDER, Stage
from tests.habits.legacy_database import query

SAMPLE_SIZE = 2_000


def run(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    """The JSON that `seed_legacy` prints; fails unless it ends as expected."""
    out = io.StringIO()
    ended = 0
    try:
        call_command("seed_legacy", "--json", *arguments, stdout=out, stderr=io.StringIO())
    except SystemExit as left:
        ended = int(str(left.code))
    assert ended == exit_code
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


def owners_of(data: DataSet) -> set[UUID]:
    return {child.owner for child in data.children()}


def in_table() -> list[tuple[Any, ...]]:
    return query("SELECT h::text FROM habit_tracker h ORDER BY id")


def bring_to(stage: str) -> None:
    """Step by step, as the database demands, and without the gates."""
    MigrationState.objects.create(name=boards.name)
    for step in ORDER[1 : ORDER.index(Stage(stage)) + 1]:
        MigrationState.objects.filter(name=boards.name).update(stage=step, version=F("version") + 1)


@pytest.fixture
def legacy_file(settings: Settings, tmp_path: Path) -> Path:
    path = tmp_path / "habit_tracker.json"
    settings.LEGACY_BACKEND = "json"
    settings.LEGACY_JSON_PATH = str(path)
    return path


def test_clean_data_can_be_migrated_row_by_row() -> None:
    data = DataSet(SAMPLE_SIZE, 1)
    outcomes = [parse(record, owners_of(data)) for record in data.records()]
    assert all(isinstance(outcome, ParsedRow) for outcome in outcomes)
    assert len(assemble(outcomes).boards) == SAMPLE_SIZE
    marks = Counter(cell for board in assemble(outcomes).boards for habit in board.board.habits for cell in habit.times)
    assert 0.2 < marks["green"] / marks.total() < 0.6
    assert min(marks[colour] for colour in ("yellow", "red", "none")) > 0


def test_messy_data_has_every_code_and_about_as_many_merged_and_rejected_rows_as_real_data() -> None:
    data = DataSet(SAMPLE_SIZE, 1, messy=True)
    records = list(data.records())
    outcomes = [parse(record, owners_of(data), size=len(json.dumps(record))) for record in records]
    assembly = assemble(outcomes)
    rejected = [said for said in assembly.rejections if said.held_by is None]
    assert {said.code for said in rejected} == set(CODES)
    assert 0.015 < len(rejected) / SAMPLE_SIZE < 0.03
    merged = sum(len(board.rows) for board in assembly.boards if len(board.rows) > 1)
    assert 0.06 < merged / SAMPLE_SIZE < 0.2
    assert max(len(board.rows) for board in assembly.boards) == 3
    assert any(board.conflicts for board in assembly.boards)
    assert len({record["updated_at"] for record in records}) < SAMPLE_SIZE / 10
    assert any(isinstance(record["habits"], str) for record in records)


@pytest.mark.parametrize("messy", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 39, 300])
def test_there_are_exactly_as_many_rows_as_asked_for_and_none_collide(rows: int, messy: bool) -> None:
    records = list(DataSet(rows, 7, messy).records())
    assert len(records) == rows
    assert len({record["id"] for record in records}) == rows
    assert len({(record["child_name"], record["week_period"]) for record in records}) == rows


@pytest.mark.parametrize("messy", [False, True])
def test_the_seed_decides_everything(messy: bool) -> None:
    assert list(DataSet(200, 1, messy).records()) == list(DataSet(200, 1, messy).records())
    assert list(DataSet(200, 1, messy).records()) != list(DataSet(200, 2, messy).records())


@pytest.mark.django_db
@pytest.mark.parametrize("messy", [(), ("--messy",)])
def test_the_table_is_created_and_filled(messy: tuple[str, ...]) -> None:
    said = run("--rows", "600", "--seed", "4", *messy)
    data = DataSet(600, 4, bool(messy))
    assert (said["rows"], said["owners"]) == (600, data.owners)
    last = max(record["id"] for record in data.records())
    assert query("SELECT count(*), max(id), nextval('habit_tracker_id_seq') FROM habit_tracker") == [
        (600, last, last + 1)
    ]


@pytest.mark.django_db
def test_the_same_data_is_not_added_twice() -> None:
    run("--rows", "120")
    before = in_table()
    assert run("--rows", "120")["rows"] == 0
    assert in_table() == before


@pytest.mark.django_db
@pytest.mark.parametrize("other", [("--rows", "121"), ("--rows", "120", "--seed", "2"), ("--rows", "120", "--messy")])
def test_other_data_is_neither_mixed_in_nor_overwritten(other: tuple[str, ...]) -> None:
    run("--rows", "120")
    before = in_table()
    assert "--reset" in run(*other, exit_code=2)["error"]
    assert in_table() == before


@pytest.mark.django_db
def test_reset_puts_the_data_in_place_of_what_is_there() -> None:
    run("--rows", "120")
    before = in_table()
    run("--rows", "60", "--seed", "9", "--reset")
    assert len(in_table()) == 60
    run("--rows", "120", "--reset")
    assert [row.split(",")[:3] for (row,) in in_table()] == [row.split(",")[:3] for (row,) in before]


@pytest.mark.django_db
@pytest.mark.parametrize("stage", ["off", "dual_write", "shadow"])
def test_reset_is_for_trials_which_have_not_gone_beyond_shadow(stage: str) -> None:
    run("--rows", "120")
    bring_to(stage)
    run("--rows", "60", "--seed", "9", "--reset")
    assert len(in_table()) == 60


@pytest.mark.django_db
@pytest.mark.parametrize("stage", ["ramp", "live", "frozen", "archived", "dropped"])
@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_where_families_live_in_modern_reset_is_refused_unless_it_is_forced(stage: str, dry_run: list[str]) -> None:
    run("--rows", "120")
    before = in_table()
    bring_to(stage)
    refused = run("--rows", "60", "--reset", *dry_run, exit_code=4)["error"]
    assert f"at stage {stage}" in refused
    assert "--force" in refused
    assert in_table() == before
    assert run("--rows", "60", "--reset", "--force", *dry_run)["rows"] == 60
    assert len(in_table()) == (120 if dry_run else 60)


@pytest.mark.django_db
def test_a_row_in_the_table_says_what_it_says_in_a_file() -> None:
    run("--rows", "300", "--messy")
    columns = ", ".join(f"{name}::text" for name in COLUMNS)
    in_file = [table_values(record) for record in DataSet(300, 1, messy=True).records()]
    stored = query(f"SELECT {columns} FROM habit_tracker ORDER BY habit_tracker.id")
    assert [row[1:4] for row in stored] == [tuple(row[1:4]) for row in in_file]
    assert [row[4] and json.loads(row[4]) for row in stored] == [row[4] and json.loads(row[4]) for row in in_file]


@pytest.mark.parametrize("rows", ["0", "-3", "many", "²"])
def test_a_number_of_rows_that_is_none_is_refused(rows: str) -> None:
    with pytest.raises(Exception, match="no number of rows"):
        call_command("seed_legacy", f"--rows={rows}")


@pytest.mark.django_db
def test_a_file_holds_an_object_with_the_records(legacy_file: Path) -> None:
    said = run("--rows", "250", "--messy")
    assert said["rows"] == 250
    assert json.loads(legacy_file.read_text())["records"] == list(DataSet(250, 1, messy=True).records())
    assert [path.name for path in legacy_file.parent.iterdir()] == [legacy_file.name]


@pytest.mark.django_db
def test_a_file_is_replaced_only_on_request(legacy_file: Path) -> None:
    run("--rows", "100")
    before = legacy_file.read_bytes()
    assert run("--rows", "100")["rows"] == 0
    run("--rows", "50", exit_code=2)
    assert legacy_file.read_bytes() == before
    run("--rows", "50", "--reset")
    assert len(json.loads(legacy_file.read_text())["records"]) == 50


@pytest.mark.django_db
def test_a_file_of_lines_gets_a_row_a_line(legacy_file: Path, settings: Settings) -> None:
    path = legacy_file.with_suffix(".ndjson")
    settings.LEGACY_JSON_PATH = str(path)
    run("--rows", "30")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == list(range(1, 31))
    assert run("--rows", "30")["rows"] == 0


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "target"), [("rows.NDJSON", None), ("rows.json", "real.ndjson")])
def test_everybody_agrees_on_what_a_file_of_lines_is(
    legacy_file: Path, settings: Settings, name: str, target: str | None
) -> None:
    path = legacy_file.with_name(name)
    if target:
        path.symlink_to(target)
    settings.LEGACY_JSON_PATH = str(path)
    run("--rows", "30")
    assert path.is_symlink() == bool(target)
    assert LegacyJsonStore(path).estimate() == 30
    assert set(legacy_owners()) == owners_of(DataSet(30, 1))
    assert run("--rows", "30")["rows"] == 0


@pytest.mark.django_db
@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_says_what_would_be_added_to_the_table_and_adds_nothing(there: bool) -> None:
    if there:
        run("--rows", "20")
    before = in_table() if there else None
    assert run("--rows", "30", "--dry-run", *(["--reset"] if there else []))["rows"] == 30
    assert query("SELECT to_regclass('habit_tracker') IS NOT NULL") == [(there,)]
    if there:
        assert in_table() == before
        assert run("--rows", "20", "--dry-run")["rows"] == 0
        assert "--reset" in run("--rows", "30", "--dry-run", exit_code=2)["error"]


@pytest.mark.django_db
def test_a_dry_run_leaves_a_file_as_it_is(legacy_file: Path) -> None:
    assert run("--rows", "30", "--dry-run")["rows"] == 30
    assert not legacy_file.exists()
    run("--rows", "20")
    before = legacy_file.read_bytes()
    assert run("--rows", "20", "--dry-run")["rows"] == 0
    assert run("--rows", "30", "--dry-run", "--reset")["rows"] == 30
    run("--rows", "30", "--dry-run", exit_code=2)
    assert legacy_file.read_bytes() == before


@pytest.mark.django_db
def test_a_place_where_no_file_can_be_written_is_named(legacy_file: Path, settings: Settings) -> None:
    settings.LEGACY_JSON_PATH = str(legacy_file / "no" / "such.json")
    assert "such.json" in run("--rows", "10", exit_code=2)["error"]
