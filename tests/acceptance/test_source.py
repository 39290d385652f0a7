"""`backfill --source FILE` beside a legacy table with rows of its own: neither touches what is the other's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from habits.board import Board
from habits.migration import boards as migration
from habits.seed import table_values
from habits.stores.legacy_rows import COLUMNS
from habits.stores.modern import ModernStore
from migration_ops import registry
from migration_ops.exceptions import Refused
from migration_ops.models import DirtyKey
from migration_ops.sync import source as sources
from tests.acceptance.commands import run
from tests.acceptance.modern import boards, query
from tests.acceptance.source_files import RED, board, everything, first_marks, imported, lineage, load, write
from tests.habits.legacy_database import insert, prepare, second_connection


def sql(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def insert_elsewhere(record: dict[str, Any]) -> None:
    """Somebody else's insert, committed at once."""
    with second_connection() as other:
        names = ", ".join(COLUMNS)
        marks = ", ".join(["%s"] * len(COLUMNS))
        other.execute(f"INSERT INTO habit_tracker ({names}) VALUES ({marks})", table_values(record))


@pytest.mark.usefixtures("small_table")
def test_equal_row_ids_do_not_mend_each_other_away(tmp_path: Path) -> None:
    file = write(
        tmp_path / "export.json", [board(1, "가"), board(2, "나"), board(9, "다", owner="nobody", user_id=None)]
    )
    done = load(file)
    assert (done.exit_code, done["boards_written"], done["rows_quarantined"]) == (3, 2, 1)
    assert first_marks().keys() == {"하나", "둘", "셋", "가", "나"}
    assert lineage() == {"1": None, "2": None, "3": None}
    assert lineage(file) == {"1": None, "2": None, "9": "owner_missing"}

    sql("UPDATE habit_tracker SET theme = 'new' WHERE id = 1")
    sql("DELETE FROM habit_tracker WHERE id = 2")
    assert run("sync_changes").exit_code == 0
    assert first_marks().keys() == {"하나", "셋", "가", "나"}
    assert lineage() == {"1": None, "3": None}
    assert lineage(file) == {"1": None, "2": None, "9": "owner_missing"}


@pytest.mark.usefixtures("small_table")
def test_an_ordinary_backfill_and_its_drain_leave_imported_boards_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가"), board(77, "나")])
    assert load(file).exit_code == 0
    before = everything()
    again = run("backfill")
    assert (again.exit_code, again["boards_written"], again["vanished"], again["applied"]) == (0, 0, 0, 0)
    assert everything() == before
    assert imported() == 2


@pytest.mark.usefixtures("small_table")
def test_a_file_that_was_loaded_writes_nothing_the_second_time(tmp_path: Path) -> None:
    rows = [board(1, "하나", RED), board(5, "가"), board(6, "가", RED, theme="lower"), board(7, "나", user_id=None)]
    file = write(tmp_path / "export.json", rows)
    first = load(file)
    assert (first["boards_written"], first["boards_merged"], first["rows_quarantined"]) == (1, 1, 2)
    before = everything()
    second = load(file)
    assert (second["boards_written"], second["boards_unchanged"], second["rows_quarantined"]) == (0, 1, 2)
    assert everything() == before


@pytest.mark.usefixtures("small_table")
def test_the_legacy_store_has_the_word_on_a_board_that_both_have(tmp_path: Path) -> None:
    before = boards()
    file = write(
        tmp_path / "export.json",
        [board(101, "하나", RED), board(102, "하나", theme="lower"), board(103, "둘"), board(104, "가")],
    )
    done = load(file)
    assert (done.exit_code, done["rows_quarantined"], done["boards_unchanged"], done["boards_written"]) == (3, 2, 1, 1)
    assert first_marks() == {"하나": "green", "둘": "green", "셋": "green", "가": "green"}
    assert lineage(file) == {"101": "duplicate_key", "102": "duplicate_key", "103": None, "104": None}
    messages = query("SELECT message FROM migration_ops_quarantineitem WHERE source = %s", [str(file)])
    assert all("The legacy store has the same document with other content." in text for (text,) in messages)
    assert imported() == 1, "what the legacy store has as well is not the file's"
    assert {key: found for key, found in boards().items() if key in before} == before


@pytest.mark.usefixtures("small_table")
def test_a_board_that_the_legacy_store_has_only_as_rejected_rows_is_held(tmp_path: Path) -> None:
    insert(board(4, "넷", ("purple", *[""] * 6)))
    assert run("sync_changes").exit_code == 0
    file = write(tmp_path / "export.json", [board(50, "넷")])
    assert load(file)["rows_quarantined"] == 1
    assert lineage(file) == {"50": "duplicate_key"}
    assert "넷" not in first_marks()
    ((message,),) = query("SELECT message FROM migration_ops_quarantineitem WHERE source = %s", [str(file)])
    assert "Row 4 of the legacy store" in message
    assert "status_unknown" in message


@pytest.mark.usefixtures("small_table")
def test_a_bad_row_of_the_file_takes_no_board_of_the_legacy_store_away(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(60, "하나", ("purple", *[""] * 6)), board(61, "가")])
    assert load(file)["rows_quarantined"] == 1
    assert first_marks().keys() == {"하나", "둘", "셋", "가"}
    write(file, [board(60, "하나", ("purple", *[""] * 6)), board(61, "가", ("purple", *[""] * 6))])
    assert load(file)["rows_quarantined"] == 2
    assert first_marks().keys() == {"하나", "둘", "셋"}, "its own board it does take away"
    assert imported() == 0


@pytest.mark.usefixtures("small_table")
def test_two_files_with_equal_ids_and_keys_stay_apart(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", [board(1, "가"), board(2, "나")])
    two = write(tmp_path / "two.json", [board(1, "다"), board(2, "나", RED), board(3, "가")])
    assert load(one).exit_code == 0
    done = load(two)
    assert (done["boards_written"], done["boards_unchanged"], done["rows_quarantined"]) == (1, 1, 1)
    assert lineage(one) == {"1": None, "2": None}
    assert lineage(two) == {"1": None, "2": "duplicate_key", "3": None}
    ((message,),) = query("SELECT message FROM migration_ops_quarantineitem")
    assert str(one) in message
    assert first_marks()["나"] == "green"
    write(two, [board(2, "나", ("purple", *[""] * 6))])
    load(two)
    assert first_marks()["나"] == "green", "a bad row of one file takes no board of another away"
    before = everything()
    assert load(one).exit_code == 3
    assert everything() == before


@pytest.mark.usefixtures("small_table")
def test_a_board_becomes_the_legacy_stores_as_soon_as_that_has_a_row_of_it(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가")])
    load(file)
    insert(board(20, "가", RED))
    assert run("sync_changes").exit_code == 0
    assert first_marks()["가"] == "red"
    assert imported() == 0
    assert load(file)["rows_quarantined"] == 1
    sql("DELETE FROM habit_tracker WHERE id = 20")
    assert run("sync_changes").exit_code == 0
    assert "가" not in first_marks()


@pytest.mark.usefixtures("small_table")
@pytest.mark.parametrize("noted_as", ["row", "key"])
def test_a_deletion_that_waits_does_not_reach_the_board_that_a_file_brings_meanwhile(
    tmp_path: Path, noted_as: str
) -> None:
    sql("DELETE FROM habit_tracker WHERE id = 3")
    if noted_as == "key":
        key = query("SELECT key FROM migration_ops_lineage WHERE row = '3'")[0][0]
        DirtyKey.objects.update(row=None, key=key)
    file = write(tmp_path / "export.json", [board(30, "셋", RED)])
    done = load(file)
    assert (done["boards_written"], done["applied"], done["dirty_remaining"]) == (1, 1, 0)
    assert first_marks()["셋"] == "red"


@pytest.mark.usefixtures("small_table")
def test_a_board_that_comes_into_the_legacy_store_while_the_file_is_read_holds_all_its_rows(tmp_path: Path) -> None:
    """The first page sees nothing of it, the second, which leads it, does."""
    file = write(tmp_path / "export.json", [board(1, "가", theme="lower"), board(2, "나"), board(3, "가")])

    class Interrupted(ModernStore):
        def save(self, documents: Any) -> Any:
            saved = super().save(documents)
            if any(each.key.child == "나" for each in documents) and not query(
                "SELECT 1 FROM habit_tracker WHERE child_name = '가'"
            ):
                insert_elsewhere(board(90, "가", RED))
            return saved

    registry.unregister(migration.name)
    registry.register(replace(migration, modern=Interrupted))
    try:
        assert load(file, "--batch-size", "1").exit_code == 3
    finally:
        registry.unregister(migration.name)
        registry.register(migration)
    assert lineage(file) == {"1": "duplicate_key", "2": None, "3": "duplicate_key"}
    assert first_marks()["가"] == "red"


@pytest.mark.usefixtures("small_table")
def test_rows_that_leave_the_file_leave_their_boards_where_they_are(tmp_path: Path) -> None:
    """An export of the next month under the same name must not take the last month away."""
    file = write(tmp_path / "export.json", [board(1, "가"), board(2, "나"), board(3, "라", user_id=None)])
    assert load(file).exit_code == 3
    write(file, [board(1, "다")])
    done = load(file)
    assert (done.exit_code, done["vanished"]) == (0, 2), "nobody has to decide about a row that is gone"
    assert first_marks().keys() == {"하나", "둘", "셋", "가", "나", "다"}
    assert lineage(file) == {"1": None}
    assert not DirtyKey.objects.exists()


@pytest.mark.usefixtures("small_table")
def test_a_run_that_reads_a_file_goes_on_with_it_and_with_nothing_else(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(number, f"아이{number}") for number in range(1, 8)])
    other = write(tmp_path / "other.json", [board(1, "가")])

    class Broken(ModernStore):
        def save(self, documents: Any) -> Any:
            if any(each.key.child == "아이5" for each in documents):
                raise Refused("The test stops here.")
            return super().save(documents)

    registry.unregister(migration.name)
    registry.register(replace(migration, modern=Broken))
    try:
        assert load(file, "--batch-size", "2").exit_code == 4
    finally:
        registry.unregister(migration.name)
        registry.register(migration)
    refused = load(other)
    assert refused.exit_code == 4
    assert str(file) in refused["error"]
    done = run("backfill", "resume")
    assert (done.exit_code, done["source"], done["rows_read"], done["boards_written"]) == (0, str(file), 7, 7)
    assert len(lineage(file)) == 7
    assert len(lineage()) == 3


@pytest.mark.usefixtures("transactional_db")
def test_the_legacy_stores_own_file_is_no_other_source(tmp_path: Path, settings: Any) -> None:
    prepare()
    file = write(tmp_path / "habits.json", [board(1, "가"), board(2, "나")])
    settings.LEGACY_BACKEND, settings.LEGACY_JSON_PATH = "json", str(file)
    settings.VAR_DIR = tmp_path / "var"
    link = tmp_path / "link.json"
    os.symlink(file, link)
    assert run("stage", "advance").exit_code == 0
    done = load(link)
    assert (done.exit_code, done["source"], done["boards_written"]) == (0, None, 2)
    assert lineage() == {"1": None, "2": None}
    assert imported() == 0
    assert run("validate_migration").exit_code == 0
    write(file, [board(1, "가")])
    assert run("sync_changes").exit_code == 0
    assert first_marks().keys() == {"가"}
    other = write(tmp_path / "other.json", [board(1, "나"), board(2, "가", RED)])
    assert load(other)["rows_quarantined"] == 1
    write(file, [board(1, "가", theme="new")])
    assert run("sync_changes")["applied"] == 1
    assert first_marks() == {"가": "green", "나": "green"}


@pytest.mark.usefixtures("small_table")
def test_a_rehearsal_counts_what_would_be_held(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "하나", RED), board(2, "가"), board(3, "둘")])
    before = everything()
    would = load(file, "--dry-run")
    assert (would["boards_written"], would["boards_unchanged"], would["rows_quarantined"]) == (1, 1, 1)
    assert everything() == before


@pytest.mark.usefixtures("transactional_db")
def test_a_rehearsal_needs_no_legacy_table(tmp_path: Path) -> None:
    prepare()
    sql("DROP TABLE habit_tracker")
    would = load(write(tmp_path / "export.json", [board(1, "가")]), "--dry-run")
    assert (would.exit_code, would["boards_written"]) == (0, 1)


@pytest.mark.usefixtures("small_table")
def test_a_file_is_only_read(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가")])
    before = file.read_bytes()
    store = sources.beside(migration, sources.name_of(migration, str(file))).legacy()
    (document,) = store.load(list(store.keys_of(["1"]).values())).documents
    assert isinstance(document, Board)
    for write_to in (lambda: store.save([document]), lambda: store.delete([document.key])):
        with pytest.raises(Refused, match="is only read"):
            write_to()
    with pytest.raises(Refused, match="is only read"):
        store.assign_unit(["1"], str(document.key.owner))
    assert file.read_bytes() == before
