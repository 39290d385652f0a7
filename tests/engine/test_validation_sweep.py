"""What a full validation finds, and what it must not call a difference."""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from migration_ops import locks
from migration_ops.definition import AnyMigration, Stray
from migration_ops.gates.gate import Verdict
from migration_ops.gates.whole_runs import validation_clean
from migration_ops.models import Difference, DifferenceStatus, DirtyKey, QuarantineItem, Run, RunStatus
from migration_ops.sync import dirty
from tests.engine.syncing import hide_rows_of, rows, run, second_connection
from tests.engine.validating import command, copy_over, fill, validate_json
from tests.notes import schema
from tests.notes.note import NoteKey
from tests.notes.stores import ModernNotes


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.MIGRATION_OPS = {
        "SUSPECT_PATIENCE": timedelta(milliseconds=60),
        "SUSPECT_ROUNDS": 3,
        "COMPARE_BATCH": 7,
        "BATCH_START": 7,
    }


def test_equal_stores_are_proven_whole(notes: AnyMigration) -> None:
    fill(30)
    schema.add_rows(("home", "n0003", "a newer line"), ("work", "x", ""))
    copy_over(notes)

    code, data = validate_json()

    assert code == 0
    assert data["complete"] is True
    assert (data["legacy_rows"], data["notes_compared"], data["matched"]) == (32, 31, 31)
    assert data["cells"] == {"legacy": 32, "modern": 32, "equal": 32}
    assert data["success_rate"] == 100.0
    assert data["differences"] == []
    assert (data["sample"], data["power"], data["difference_count"]) == (None, None, 0)
    assert Run.objects.get().status == RunStatus.SUCCEEDED
    assert Run.objects.get().result["complete"] is True


def test_no_pause_is_made_where_nothing_is_suspect(notes: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(days=1)}
    fill(5)
    copy_over(notes)

    assert validate_json()[0] == 0


@pytest.mark.parametrize("position", [0, 6, 7, 29])
def test_one_changed_line_is_found_wherever_it_is(notes: AnyMigration, position: int) -> None:
    fill(30)
    copy_over(notes)
    run("UPDATE modern_notes SET lines = '{other}' WHERE title = %s", f"n{position:04}")

    code, data = validate_json()

    assert code == 5
    assert (data["matched"], data["mismatched"], data["difference_count"]) == (29, 1, 1)
    assert data["cells"] == {"legacy": 30, "modern": 30, "equal": 29}
    assert data["differences"] == [
        {
            "notebook": "home",
            "title": f"n{position:04}",
            "kind": "mismatched",
            "fields": [{"path": "lines[0]", "legacy": f"line {position}", "modern": "other"}],
            "id": Difference.objects.get().pk,
            "severity": "high",
            "status": "new",
        }
    ]
    assert data["success_rate"] == pytest.approx(100 * 29 / 30)


def test_what_is_missing_on_either_side_is_found_beyond_the_last_key_too(notes: AnyMigration) -> None:
    fill(20)
    copy_over(notes)
    run("DELETE FROM modern_notes WHERE title IN ('n0000', 'n0019')")
    run("INSERT INTO modern_notes (notebook, title, lines) VALUES ('aaa', 'first', '{1,2}'), ('zzz', 'last', '{}')")

    code, data = validate_json()

    assert code == 5
    assert (data["missing_in_modern"], data["missing_in_legacy"], data["notes_compared"]) == (2, 2, 20)
    assert data["cells"] == {"legacy": 20, "modern": 20, "equal": 18}
    assert {(each["title"], each["kind"]) for each in data["differences"]} == {
        ("n0000", "missing_in_modern"),
        ("n0019", "missing_in_modern"),
        ("first", "missing_in_legacy"),
        ("last", "missing_in_legacy"),
    }
    assert data["success_rate"] == pytest.approx(100 * 18 / 22)


def test_an_extra_or_missing_line_is_a_difference(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    run("UPDATE modern_notes SET lines = '{\"line 1\",more}' WHERE title = 'n0001'")
    run("UPDATE modern_notes SET lines = '{}' WHERE title = 'n0002'")

    _, data = validate_json()

    assert data["mismatched"] == 2
    assert data["cells"] == {"legacy": 3, "modern": 3, "equal": 2}


def test_quarantined_rows_are_counted_recorded_and_no_difference(notes: AnyMigration) -> None:
    fill(3)
    schema.add_rows(("home", "n0001", None), (None, "nobody's", "x"))
    copy_over(notes)
    QuarantineItem.objects.all().delete()

    code, data = validate_json()

    assert code == 3
    assert (data["legacy_rows"], data["notes_compared"], data["rows_quarantined"]) == (5, 2, 3)
    assert data["quarantine_open"] == 3
    assert set(QuarantineItem.objects.values_list("code", flat=True)) == {"notebook_missing", "body_missing"}


def test_a_stale_copy_of_what_is_in_quarantine_is_work_for_the_applier(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    run("UPDATE legacy_notes SET body = NULL WHERE title = 'n0001'")
    validate_json()
    ((row,),) = rows("SELECT id::text FROM legacy_notes WHERE title = 'n0001'")
    assert row in DirtyKey.objects.values_list("row", flat=True)
    DirtyKey.objects.all().delete()
    validate_json("--dry-run")
    assert not DirtyKey.objects.exists()
    validate_json()
    assert list(DirtyKey.objects.values_list("side", "key")) == [("legacy", '["home", "n0001"]')]


def test_a_row_that_somebody_holds_is_left_to_the_applier_and_still_waits(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    ((row,),) = rows("UPDATE legacy_notes SET body = NULL WHERE title = 'n0001' RETURNING id::text")
    with second_connection() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [locks.lock_id("row", notes.name, row)])
        code, data = validate_json()
    assert (code, data["quarantine_open"]) == (3, 1)
    assert not QuarantineItem.objects.exists()
    assert row in DirtyKey.objects.values_list("row", flat=True)


def test_rows_whose_rejection_is_known_and_accepted_do_not_spoil_the_exit_code(notes: AnyMigration) -> None:
    fill(3)
    schema.add_rows((None, "nobody's", "x"))
    copy_over(notes)
    QuarantineItem.objects.update(status="accepted")

    code, data = validate_json()

    assert (code, data["rows_quarantined"], data["quarantine_open"]) == (0, 1, 0)


@pytest.mark.parametrize("rows", [1, 2])
def test_people_read_what_became_of_rows_that_were_not_compared(notes: AnyMigration, rows: int) -> None:
    schema.add_rows(*((None, f"lost{number}", "row") for number in range(rows)))
    copy_over(notes)
    assert f"{('1 row', '2 rows')[rows - 1]} in quarantine {('waits', 'wait')[rows - 1]} for a decision" in _printed()
    ids = [str(item.pk) for item in QuarantineItem.objects.all()]
    command("quarantine", "accept", *ids, "--reason", "so")
    told = _printed()
    assert f"{('1 row of legacy was', '2 rows of legacy were')[rows - 1]} accepted by a person to stay behind" in told
    assert "for a decision" not in told


def _printed() -> str:
    out = io.StringIO()
    with suppress(SystemExit):
        call_command("validate_migration", stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_two_empty_stores_are_complete_and_prove_no_rate(notes: AnyMigration) -> None:
    code, data = validate_json()

    assert (code, data["complete"], data["success_rate"], data["legacy_rows"]) == (0, True, None, 0)


def test_an_empty_legacy_store_that_had_rows_is_incomplete(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    run("DELETE FROM legacy_notes")
    run("DELETE FROM modern_notes")

    code, data = validate_json()

    assert (code, data["complete"]) == (1, False)
    assert "No legacy row was seen" in data["reasons"][0]
    assert Run.objects.get().status == RunStatus.FAILED
    assert validate_json()[1]["run"] != data["run"]


def test_a_verifier_that_row_security_filters_is_incomplete(notes: AnyMigration) -> None:
    fill(10)
    copy_over(notes)
    hide_rows_of("modern_notes")
    hide_rows_of("legacy_notes")

    code, data = validate_json()

    assert (code, data["complete"], data["matched"]) == (1, False, 0)
    assert "does not see everything" in data["reasons"][0]


def test_a_policy_that_shows_half_of_the_rows_on_both_sides_is_noticed(notes: AnyMigration) -> None:
    fill(10)
    copy_over(notes)
    for table in ("modern_notes", "legacy_notes"):
        hide_rows_of(table)
        run(f"CREATE POLICY half ON {table} USING (title < 'n0005')")

    code, data = validate_json()

    assert (code, data["complete"]) == (1, False)


def test_a_store_that_does_not_list_all_it_holds_makes_the_validation_incomplete(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(40)
    copy_over(notes)
    whole = ModernNotes.scan

    def forgetful(self: Any, span: Any, limit: int, **options: Any) -> Any:
        page = whole(self, span, limit, **options)
        page.cursor = None
        return page

    monkeypatch.setattr(ModernNotes, "scan", forgetful)

    code, data = validate_json()

    assert (code, data["complete"]) == (1, False)
    assert "listed 7 notes only" in data["reasons"][0]


def test_a_key_that_nobody_carries_over_is_reported_as_dirty(notes: AnyMigration) -> None:
    ids = fill(3)
    copy_over(notes)
    run("UPDATE legacy_notes SET body = 'changed' WHERE id = %s", ids[1])
    dirty.mark_rows(notes, [str(ids[1])])

    code, data = validate_json()

    assert code == 5
    assert [(each["title"], each["dirty"]) for each in data["differences"]] == [("n0001", True)]


def test_a_row_that_the_lineage_does_not_know_is_reported_as_dirty_as_well(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    (new,) = schema.add_rows(("home", "new", "x"))
    dirty.mark_rows(notes, [str(new)])

    _, data = validate_json()

    assert [(each["title"], each["dirty"]) for each in data["differences"]] == [("new", True)]


def test_a_suspect_that_heals_before_it_is_looked_at_again_is_no_difference(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(10)
    copy_over(notes)
    run("DELETE FROM modern_notes WHERE title = 'n0004'")
    absent = type(notes.legacy()).absent
    healed = []

    def heal(self: Any, keys: Any) -> Any:
        if not healed:
            healed.append(True)
            with second_connection() as other:
                other.execute("INSERT INTO modern_notes (notebook, title, lines) VALUES ('home', 'n0004', '{line 4}')")
        return absent(self, keys)

    monkeypatch.setattr(type(notes.legacy()), "absent", heal)

    code, data = validate_json()

    assert (code, data["matched"], data["mismatched"], data["missing_in_modern"]) == (0, 10, 0, 0)
    assert data["cells"] == {"legacy": 10, "modern": 10, "equal": 10}
    assert not Difference.objects.exists()


def test_a_suspect_that_heals_while_it_is_waited_for_is_no_difference(notes: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(seconds=20), "SUSPECT_ROUNDS": 60}
    fill(3)
    copy_over(notes)
    run("UPDATE legacy_notes SET body = 'new' WHERE title = 'n0001'")
    key = NoteKey("home", "n0001")
    looks = []
    load = ModernNotes.load

    def late(self: Any, keys: Any, **options: Any) -> Any:
        looks.append(keys)
        if len(looks) == 4:
            with second_connection() as other:
                other.execute("UPDATE modern_notes SET lines = '{new}' WHERE title = 'n0001'")
        return load(self, keys, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModernNotes, "load", late)
        code, data = validate_json()

    assert (code, data["matched"]) == (0, 3)
    assert len([keys for keys in looks if list(keys) == [key]]) >= 3


def test_a_change_between_the_passes_is_not_called_an_extra(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(3)
    copy_over(notes)
    scan = ModernNotes.scan
    moved = []

    def between(self: Any, span: Any, limit: int, **options: Any) -> Any:
        if not moved:
            moved.append(True)
            with second_connection() as other:
                other.execute("UPDATE legacy_notes SET title = 'moved' WHERE title = 'n0001'")
                other.execute("UPDATE modern_notes SET title = 'moved' WHERE title = 'n0001'")
        return scan(self, span, limit, **options)

    monkeypatch.setattr(ModernNotes, "scan", between)

    code, data = validate_json()

    assert (code, data["difference_count"], data["complete"]) == (0, 0, True)


def test_each_chunk_sees_both_stores_at_one_moment(notes: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(3)
    copy_over(notes)
    load = ModernNotes.load
    seen = []

    def change_first(self: Any, keys: Any, **options: Any) -> Any:
        with second_connection() as other:
            other.execute("UPDATE legacy_notes SET body = 'v' || %s::text", [str(len(seen))])
            other.execute("UPDATE modern_notes SET lines = ARRAY['v' || %s::text]", [str(len(seen))])
        seen.append(keys)
        return load(self, keys, **options)

    monkeypatch.setattr(ModernNotes, "load", change_first)

    code, _ = validate_json()

    assert code == 0
    assert len(seen) == 1, "nothing was suspect, so nothing was looked at again"


def test_the_database_refuses_every_write_in_the_snapshot(notes: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(3)
    copy_over(notes)
    monkeypatch.setattr(ModernNotes, "load", lambda self, keys: run("DELETE FROM modern_notes"))

    code, _, err = command("validate_migration", "--json")

    assert (code, len(schema.modern_rows())) == (1, 3)
    assert "read-only transaction" in err


def test_a_clean_validation_closes_what_earlier_ones_found(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    run("DELETE FROM modern_notes WHERE title = 'n0001'")
    assert validate_json()[0] == 5
    copy_over(notes)
    assert validate_json()[0] == 0

    assert Difference.objects.get().status == DifferenceStatus.GONE


def test_people_read_a_sentence_first(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)

    _, out, _ = command("validate_migration")
    assert out.splitlines()[0] == "Every one of 3 marks in 3 notes is where it should be."

    run("UPDATE modern_notes SET lines = '{}' WHERE title = 'n0001'")
    _, out, _ = command("validate_migration")
    assert out.splitlines()[0] == "1 of the notes differs between the two stores."
    assert "lines[0]: 'line 1' → None" in out


def test_a_missing_table_is_a_failure_with_all_keys_and_never_clean(notes: AnyMigration) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE modern_notes")

    code, data = validate_json()

    assert (code, data["complete"], data["matched"]) == (1, False, 0)
    assert "does not exist" in data["error"]


def test_rows_that_belong_to_no_document_are_a_difference(notes: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(3)
    copy_over(notes)
    monkeypatch.setattr(ModernNotes, "strays", lambda self: [Stray("lines", 2, "17")], raising=False)
    monkeypatch.setattr(ModernNotes, "remove_strays", lambda self, table, limit: [], raising=False)

    code, data = validate_json()

    assert (code, data["complete"], data["matched"]) == (5, True, 3)
    assert (data["stray_rows"], data["difference_count"]) == (2, 2)
    assert data["strays"] == [{"table": "lines", "rows": 2, "example": "17"}]
    _, out, _ = command("validate_migration")
    assert out.startswith("2 rows of the modern store belong to none of the notes.")
    assert validation_clean(notes).verdict is not Verdict.PASS
    assert validation_clean(notes).value == 2
