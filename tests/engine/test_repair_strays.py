"""Rows of the modern store that belong to no document: a repair removes them while nobody can see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import translation

from migration_ops import registry
from migration_ops.definition import AnyMigration, RemovedRow, Stray
from migration_ops.models import BeforeImage, HistoryEntry
from migration_ops.stages import Stage
from migration_ops.verify import repair as repairs
from migration_ops.verify.validation import validate
from tests.engine.syncing import hide_rows_of, rows, run, second_connection
from tests.engine.validating import command, copy_over, digest, fill, validate_json
from tests.engine.waiting import InThread
from tests.notes import schema
from tests.notes.stores import ModernNotes

STRAY = "NOT EXISTS (SELECT FROM modern_notes WHERE modern_notes.id = note)"


class NotesWithLabels(ModernNotes):
    """Labels hang on notes by id, and no foreign key holds them."""

    def strays(self) -> list[Stray]:
        ((count, example),) = rows(f"SELECT count(*), min(id)::text FROM modern_labels WHERE {STRAY}")
        return [Stray("modern_labels", count, example)] if count else []

    def remove_strays(self, table: str, limit: int) -> list[RemovedRow]:
        removed = rows(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {STRAY} ORDER BY id LIMIT %s"
            f" FOR UPDATE SKIP LOCKED) RETURNING id::text, to_jsonb({table})",
            limit,
        )
        return [RemovedRow(row, json.loads(image)) for row, image in removed]


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 2}


@pytest.fixture
def labelled(notes: AnyMigration) -> Iterator[AnyMigration]:
    """Three notes with a label each, and labels 4 to 8, which are left over from notes that are gone."""
    run("DROP TABLE IF EXISTS modern_labels")
    run("CREATE TABLE modern_labels (id int PRIMARY KEY, note bigint, label text)")
    declared = replace(notes, modern=NotesWithLabels)
    registry.unregister(notes.name)
    registry.register(declared)
    fill(3)
    copy_over(declared)
    run("INSERT INTO modern_labels SELECT row_number() OVER (ORDER BY id), id, 'kept' FROM modern_notes")
    run("INSERT INTO modern_labels SELECT n, -n, 'label ' || n FROM generate_series(4, 8) AS n")
    yield declared
    registry.unregister(notes.name)
    registry.register(notes)
    run("DROP TABLE modern_labels CASCADE")


def labels() -> list[int]:
    return [number for (number,) in rows("SELECT id FROM modern_labels ORDER BY id")]


def test_a_repair_removes_exactly_them_and_keeps_what_they_were(labelled: AnyMigration) -> None:
    before = rows("SELECT ctid::text, xmin::text, * FROM modern_labels WHERE id < 4 ORDER BY id")

    code, data = validate_json("--repair", "--actor", "ann", "--reason", "drill")

    assert (code, data["stray_rows"], data["strays_removed"], data["repair_failed"]) == (0, 5, 5, 0)
    assert labels() == [1, 2, 3]
    assert rows("SELECT ctid::text, xmin::text, * FROM modern_labels ORDER BY id") == before
    images = {image.key: image for image in BeforeImage.objects.all()}
    assert set(images) == {f"stray modern_labels {number}" for number in range(4, 9)}
    kept = images["stray modern_labels 6"]
    assert (kept.side, kept.row, kept.cause, kept.actor) == ("modern", "6", "repair", "ann")
    assert kept.image == {"id": 6, "note": -6, "label": "label 6"}
    entry = HistoryEntry.objects.get(verb="repair")
    assert (entry.actor, entry.reason, entry.evidence["strays_removed"]) == ("ann", "drill", 5)
    assert validate_json()[0] == 0


def test_the_second_repair_does_nothing(labelled: AnyMigration) -> None:
    validate_json("--repair")
    kept = digest()

    code, data = validate_json("--repair")

    assert (code, data["stray_rows"], data["strays_removed"]) == (0, 0, 0)
    changed = {table for table, content in digest().items() if kept[table] != content}
    assert changed <= {"migration_ops_run", "migration_ops_runrange", "migration_ops_comparedupto"}


def test_a_dry_run_names_them_and_leaves_them(labelled: AnyMigration) -> None:
    kept = digest()

    code, data = validate_json("--repair", "--dry-run")

    assert (code, data["strays_removed"], data["would_remove_strays"]) == (5, 0, 5)
    assert data["actions"] == [{"table": "modern_labels", "rows": 5, "example": "4", "action": "delete"}]
    _, out, _ = command("validate_migration", "--repair", "--dry-run")
    assert "Would remove 5 rows of modern_labels that belong to nothing" in out
    assert digest() == kept


def test_people_are_told_on_the_terminal_and_in_the_report(labelled: AnyMigration, tmp_path: Path) -> None:
    with translation.override("en"):
        code, out, _ = command("validate_migration", "--repair", "--report", str(tmp_path / "report.html"))

    assert code == 0
    assert out.startswith("Everything that differed is repaired; validate again to prove it.")
    assert "5 rows that belonged to nothing removed." in " ".join(out.split())
    assert "Rows that belong to nothing, removed: 5." in (tmp_path / "report.html").read_text()


def test_extras_stay_when_they_go(labelled: AnyMigration) -> None:
    run("INSERT INTO modern_notes (notebook, title, lines) VALUES ('zzz', 'extra', '{x}')")

    code, data = validate_json("--repair")

    assert (code, data["strays_removed"], data["extras_kept"], data["repaired"]) == (5, 5, 1, 0)
    _, out, _ = command("validate_migration", "--repair")
    assert out.startswith("1 notes still differ after the repair.")
    assert validate_json("--repair", "--delete-extras")[0] == 0


def test_those_that_a_removed_extra_leaves_behind_are_still_reported(labelled: AnyMigration) -> None:
    run("INSERT INTO modern_notes (id, notebook, title, lines) VALUES (99, 'zzz', 'extra', '{x}')")
    run("INSERT INTO modern_labels VALUES (9, 99, 'of the extra')")

    code, data = validate_json("--repair", "--delete-extras")

    assert (code, data["strays_removed"], labels()) == (5, 5, [1, 2, 3, 9])
    assert validate_json("--repair")[0] == 0


@pytest.mark.parametrize("stage", [Stage.RAMP, Stage.LIVE])
def test_they_stay_when_people_may_see_modern(
    labelled: AnyMigration, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    monkeypatch.setattr(repairs.state, "stage", lambda migration: stage)

    code, data = validate_json("--repair")

    assert (code, data["strays_removed"], len(labels())) == (5, 0, 8)
    assert validate_json("--repair", "--dry-run")[1]["actions"][0]["action"] == "keep"
    _, out, _ = command("validate_migration", "--repair")
    assert f"At stage {stage} the modern store is in use" in out
    assert not HistoryEntry.objects.filter(verb="repair").exists()


def test_they_stay_when_the_stage_changes_in_between(labelled: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    validation = validate(labelled, actor="ann")
    stages = iter([Stage.SHADOW, Stage.SHADOW, Stage.RAMP])
    monkeypatch.setattr(repairs.state, "stage", lambda migration: next(stages))

    done = repairs.repair(validation, actor="ann")

    assert (done.strays.removed, done.strays.left, len(labels())) == (0, 5, 8)
    assert "The stage was changed" in done.strays.failed[0].message


def test_they_stay_after_a_validation_that_did_not_see_everything(labelled: AnyMigration) -> None:
    run("DELETE FROM legacy_notes")

    code, data = validate_json("--repair", "--delete-extras")

    assert (code, data["complete"], data["strays_removed"], len(labels())) == (5, False, 0, 8)


def test_rows_whose_document_a_policy_hides_are_not_taken_for_strays(labelled: AnyMigration) -> None:
    validation = validate(labelled, actor="ann")
    hide_rows_of("modern_notes")

    done = repairs.repair(validation, actor="ann")

    assert (done.strays.removed, done.strays.left, len(labels())) == (0, 5, 8)
    assert "row-level security" in done.strays.failed[0].message


def test_no_more_are_removed_than_were_found(labelled: AnyMigration) -> None:
    validation = validate(labelled, actor="ann")
    run("DELETE FROM modern_notes WHERE title = 'n0000'")

    done = repairs.repair(validation, actor="ann")

    assert (done.strays.removed, done.strays.left, len(labels())) == (5, 1, 3)


def test_they_are_removed_in_batches_of_bounded_size(labelled: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {**settings.MIGRATION_OPS, "BATCH_START": 2, "BATCH_MAXIMUM": 2}

    assert validate_json("--repair")[1]["strays_removed"] == 5

    batches = rows(f"SELECT count(*) FROM {BeforeImage._meta.db_table} GROUP BY xmin ORDER BY count(*)")
    assert batches == [(1,), (2,), (2,)]


def test_one_that_cannot_be_removed_is_named_and_the_documents_are_repaired_all_the_same(
    labelled: AnyMigration,
) -> None:
    run("CREATE TABLE pins (label int CONSTRAINT pinned REFERENCES modern_labels)")
    run("INSERT INTO pins VALUES (5)")
    run("UPDATE modern_notes SET lines = '{other}' WHERE title = 'n0001'")
    try:
        code, data = validate_json("--repair")
    finally:
        run("DROP TABLE pins")

    assert (code, data["repaired"], data["strays_removed"], data["repair_failed"]) == (5, 1, 0, 1)
    assert data["repair_failures"][0]["table"] == "modern_labels"
    assert "pinned" in data["repair_failures"][0]["error"]
    assert ("home", "n0001", ["line 1"]) in schema.modern_rows()
    assert not BeforeImage.objects.filter(key__startswith="stray").exists()


def test_what_others_hold_of_them_stays_and_is_named_and_the_rest_goes(labelled: AnyMigration) -> None:
    run("UPDATE modern_notes SET lines = '{other}' WHERE title = 'n0001'")
    with second_connection() as other:
        other.execute("SELECT FROM modern_labels WHERE id = 5 FOR UPDATE")
        code, data = InThread(lambda: validate_json("--repair")).outcome()

    assert (code, data["repaired"], data["strays_removed"], data["repair_failed"]) == (5, 1, 4, 1)
    assert labels() == [1, 2, 3, 5]
    assert data["repair_failures"] == [
        {
            "table": "modern_labels",
            "error": "Others hold 1 of its rows, so these stay. Try again when they are done.",
        }
    ]
    assert validate_json("--repair")[1]["strays_removed"] == 1


def test_a_table_that_others_hold_does_not_hang_it(labelled: AnyMigration) -> None:
    with second_connection() as other:
        other.execute("LOCK TABLE modern_labels IN SHARE MODE")
        code, data = InThread(lambda: validate_json("--repair")).outcome()

    assert (code, data["strays_removed"], data["repair_failed"], len(labels())) == (5, 0, 1, 8)
    assert data["repair_failures"][0]["error"].startswith("Waited 100ms for rows of modern_labels that belong to")


def test_a_sample_touches_none(labelled: AnyMigration) -> None:
    assert validate_json("--repair", "--sample", "10")[1]["strays_removed"] == 0
    assert len(labels()) == 8


def test_a_store_that_knows_of_none_is_repaired_as_ever(notes: AnyMigration) -> None:
    fill(1)
    copy_over(notes)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM modern_notes")

    code, data = validate_json("--repair")

    assert (code, data["repaired"], data["strays_removed"]) == (0, 1, 0)
