"""`validate_migration --source FILE`: modern against a file that was loaded beside the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from habits.migration import boards as migration
from migration_ops.gates import whole_runs
from migration_ops.models import Difference, Run
from tests.acceptance.commands import run
from tests.acceptance.modern import query
from tests.acceptance.source_files import RED, board, everything, first_marks, imported, load, write

pytestmark = pytest.mark.usefixtures("small_table")

WEEK_OF = "SELECT w.id FROM weeks w JOIN children c ON c.id = w.child_id WHERE c.name = %s"


def spoil(child: str) -> None:
    """Change one mark of this child's board in modern past everybody."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE habit_records SET status = 'yellow' WHERE record_date = '2025-07-21' AND habit_id IN"
            f" (SELECT id FROM habits WHERE week_id IN ({WEEK_OF}))",
            [child],
        )


def counts(said: Any) -> dict[str, int]:
    names = ("boards_compared", "matched", "mismatched", "missing_in_modern", "missing_in_legacy", "rows_quarantined")
    return {name: said[name] for name in names if said[name]}


def gate() -> str:
    return str(whole_runs.validation_clean(migration).verdict)


def test_a_loaded_file_is_found_whole_and_opens_no_gate(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가"), board(2, "나"), board(3, "나", theme="x"), board(4, "둘")])
    load(file)
    checked = run("validate_migration", "--source", str(file))
    assert (checked.exit_code, checked["complete"], checked["source"]) == (0, True, str(file))
    assert counts(checked) == {"boards_compared": 3, "matched": 3}
    assert (checked["legacy_rows"], checked["cells"]) == (4, {"legacy": 3, "modern": 3, "equal": 3})
    assert gate() == "inconclusive"


def test_a_file_of_which_legacy_has_every_board_as_well_is_found_whole(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(4, "둘"), board(5, "셋")])
    load(file)
    checked = run("validate_migration", "--source", str(file))
    assert (checked.exit_code, checked["complete"], checked["matched"]) == (0, True, 2)


def test_rows_that_were_held_count_as_quarantined_and_not_as_different(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "하나", RED), board(2, "가")])
    load(file)
    before = everything()
    checked = run("validate_migration", "--source", str(file))
    assert checked.exit_code == 3
    assert counts(checked) == {"boards_compared": 1, "matched": 1, "rows_quarantined": 1}
    assert everything() == before


def test_a_file_that_was_not_loaded_is_missing_in_modern(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가"), board(2, "하나"), board(3, "나", user_id=None)])
    checked = run("validate_migration", "--source", str(file))
    assert checked.exit_code == 5
    assert counts(checked) == {"boards_compared": 2, "matched": 1, "missing_in_modern": 1, "rows_quarantined": 1}
    assert [(each["child"], each["kind"]) for each in checked["differences"]] == [("가", "missing_in_modern")]
    assert query("SELECT source, row, code FROM migration_ops_quarantineitem") == [(str(file), "3", "owner_missing")]
    assert query("SELECT count(*) FROM migration_ops_dirtykey") == [(0,)], "row 3 of the table is another one"


def test_one_wrong_mark_is_named_and_mended_by_reading_the_file_again(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가"), board(2, "나")])
    load(file)
    spoil("나")
    checked = run("validate_migration", "--source", str(file))
    assert (checked.exit_code, counts(checked)) == (5, {"boards_compared": 2, "matched": 1, "mismatched": 1})
    (found,) = checked["differences"]
    assert found["fields"] == [{"path": "habits[0].times[0]", "legacy": "green", "modern": "yellow"}]
    assert load(file)["boards_written"] == 1
    assert run("validate_migration", "--source", str(file)).exit_code == 0
    assert not Difference.objects.filter(status__in=["new", "confirmed"]).exists()


def test_only_boards_that_came_from_the_file_can_be_extras_of_it(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가"), board(2, "나"), board(3, "둘")])
    other = write(tmp_path / "other.json", [board(1, "다")])
    load(file)
    load(other)
    write(file, [board(1, "가"), board(3, "둘")])
    for loaded in (False, True):
        checked = run("validate_migration", "--source", str(file))
        assert (checked.exit_code, checked["complete"]) == (5, True), loaded
        assert [(each["child"], each["kind"]) for each in checked["differences"]] == [("나", "missing_in_legacy")]
        load(file)
    assert run("validate_migration", "--source", str(other)).exit_code == 0


def test_a_sample_looks_at_the_file_and_at_nothing_else(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(number, f"아이{number}") for number in range(10)])
    load(file)
    checked = run("validate_migration", "--source", str(file), "--sample", "4", "--seed", "3")
    assert (checked.exit_code, counts(checked)) == (0, {"boards_compared": 4, "matched": 4})
    spoil("아이7")
    everything_sampled = run("validate_migration", "--source", str(file), "--sample", "100")
    assert (everything_sampled.exit_code, everything_sampled["mismatched"]) == (5, 1)


def test_a_validation_of_a_file_leaves_the_gate_and_what_was_found_in_the_legacy_store_alone(tmp_path: Path) -> None:
    assert run("validate_migration").exit_code == 0
    assert gate() == "pass"
    file = write(tmp_path / "export.json", [board(1, "가")])
    assert run("validate_migration", "--source", str(file)).exit_code == 5
    assert gate() == "pass"
    spoil("하나")
    assert run("validate_migration").exit_code == 5
    assert gate() == "fail"
    found = set(Difference.objects.filter(status="new").values_list("kind", flat=True))
    assert found == {"missing_in_modern", "mismatched"}, "what was found in the file is not past by that"
    load(file)
    assert run("validate_migration", "--source", str(file)).exit_code == 0
    assert gate() == "fail"
    assert query("SELECT key LIKE '%%하나%%' FROM migration_ops_difference WHERE status = 'new'") == [(True,)]


def test_an_unfinished_validation_of_the_legacy_store_goes_on_after_one_of_a_file(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가")])
    stopped = Run.objects.create(
        migration="boards", kind="validation", status="paused", started_at=Run.objects.latest("id").started_at
    )
    for number, side in enumerate(("", "legacy", "modern", "")):
        stopped.ranges.create(number=number, side=side)
    assert run("validate_migration", "--source", str(file))["run"] != stopped.pk
    stopped.refresh_from_db()
    assert stopped.status == "paused"


def test_without_the_file_an_imported_board_is_reported_and_stays_until_somebody_asks(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가"), board(2, "나")])
    load(file)
    checked = run("validate_migration", "--repair")
    assert (checked.exit_code, checked["missing_in_legacy"], checked["extras_kept"]) == (5, 2, 2)
    assert {"가", "나"} <= first_marks().keys()
    assert imported() == 2
    deleted = run("validate_migration", "--repair", "--delete-extras")
    assert (deleted.exit_code, deleted["repaired"]) == (0, 2)
    assert first_marks().keys() == {"하나", "둘", "셋"}
    assert imported() == 0
    assert run("validate_migration", "--source", str(file))["missing_in_modern"] == 2


def test_a_repair_from_the_file_writes_and_removes_what_is_the_files_only(tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", [board(1, "가"), board(2, "나"), board(3, "하나", RED)])
    load(file)
    spoil("가")
    write(file, [board(1, "가"), board(3, "하나", RED)])
    repaired = run("validate_migration", "--source", str(file), "--repair")
    assert (repaired.exit_code, repaired["repaired"], repaired["extras_kept"]) == (5, 1, 1)
    assert first_marks() == {"하나": "green", "둘": "green", "셋": "green", "가": "green", "나": "green"}
    run("validate_migration", "--source", str(file), "--repair", "--delete-extras")
    assert first_marks() == {"하나": "green", "둘": "green", "셋": "green", "가": "green"}
    assert imported() == 1
    again = run("validate_migration", "--source", str(file), "--repair", "--delete-extras")
    assert (again.exit_code, again["difference_count"]) == (3, 0)


def test_what_cannot_be_read_is_bad_usage(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", write(tmp_path / "broken.json", [])):
        if path.exists():
            path.write_text('{"records": [', encoding="utf-8")
        assert run("validate_migration", "--source", str(path)).exit_code == 2
        assert load(path).exit_code == 2
