"""Repair writes exactly what differs, keeps what was there, and finds nothing to do the second time."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from migration_ops import locks
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import (
    BeforeImage,
    Difference,
    DifferenceStatus,
    HistoryEntry,
    MigrationState,
    QuarantineItem,
    Run,
)
from migration_ops.stages import Stage
from migration_ops.sync import dirty
from migration_ops.verify import repair as repairs
from migration_ops.verify.validation import validate
from tests.engine.syncing import begin_dual_write, go_to_live, noted, rows, run, second_connection
from tests.engine.validating import command, copy_over, digest, fill, validate_json
from tests.engine.waiting import InThread
from tests.notes import schema
from tests.notes.note import NoteKey


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 2}


@pytest.fixture
def damaged(notes: AnyMigration) -> AnyMigration:
    """Ten notes: one changed and one missing in modern, and one that only modern has."""
    fill(10)
    copy_over(notes)
    run("UPDATE modern_notes SET lines = '{other}' WHERE title = 'n0003'")
    run("DELETE FROM modern_notes WHERE title = 'n0009'")
    run("INSERT INTO modern_notes (notebook, title, lines) VALUES ('zzz', 'extra', '{x}')")
    return notes


def modern_ids() -> dict[str, tuple[int, Any]]:
    """Physical place and transaction of each modern row: changed by any write, even of the same values."""
    return {title: (number, xmin) for title, number, xmin in rows("SELECT title, id, xmin::text FROM modern_notes")}


def test_it_writes_exactly_what_differs_and_keeps_extras(damaged: AnyMigration) -> None:
    before = modern_ids()

    code, data = validate_json("--repair", "--actor", "ann", "--reason", "drill")

    assert code == 5, "the extra is still there"
    assert (data["repaired"], data["would_repair"], data["repair_failed"], data["extras_kept"]) == (2, 0, 0, 1)
    after = modern_ids()
    assert {title for title in after if before.get(title) != after[title]} == {"n0003", "n0009"}
    assert ("home", "n0003", ["line 3"]) in schema.modern_rows()
    assert ("home", "n0009", ["line 9"]) in schema.modern_rows()
    assert ("zzz", "extra", ["x"]) in schema.modern_rows()
    assert dict(Difference.objects.values_list("kind", "status")) == {
        "mismatched": DifferenceStatus.REPAIRED,
        "missing_in_modern": DifferenceStatus.REPAIRED,
        "missing_in_legacy": DifferenceStatus.NEW,
    }
    entry = HistoryEntry.objects.get(verb="repair")
    assert (entry.actor, entry.reason) == ("ann", "drill")
    assert (entry.evidence["saved"], entry.evidence["kept"]) == (2, 1)


def test_what_the_follower_had_is_kept(damaged: AnyMigration) -> None:
    validate_json("--repair", "--delete-extras", "--actor", "ann")

    images = {image.key: (image.side, image.image and image.image["lines"]) for image in BeforeImage.objects.all()}
    assert images == {
        '["home", "n0003"]': ("modern", ["other"]),
        '["home", "n0009"]': ("modern", None),
        '["zzz", "extra"]': ("modern", ["x"]),
    }
    assert set(BeforeImage.objects.values_list("cause", "actor")) == {("repair", "ann")}


def test_extras_go_only_when_asked_for_and_then_nothing_is_left(damaged: AnyMigration) -> None:
    code, data = validate_json("--repair", "--delete-extras")

    assert (code, data["repaired"], data["extras_kept"]) == (0, 3, 0)
    assert {title for _, title, _ in schema.modern_rows()} == {f"n{number:04}" for number in range(10)}
    assert validate_json()[0] == 0


def test_the_second_repair_does_nothing(damaged: AnyMigration) -> None:
    validate_json("--repair", "--delete-extras")
    kept = digest()

    code, data = validate_json("--repair", "--delete-extras")

    assert (code, data["repaired"], data["difference_count"]) == (0, 0, 0)
    changed = {table for table, content in digest().items() if kept[table] != content}
    own = {"run", "runrange", "difference", "comparedupto"}
    assert changed <= {f"migration_ops_{name}" for name in own}


def test_a_dry_run_says_what_it_would_do_and_leaves_the_database_as_it_was(damaged: AnyMigration) -> None:
    schema.add_rows((None, "in quarantine", "x"))
    kept = digest()

    code, data = validate_json("--repair", "--dry-run", "--delete-extras")

    assert digest() == kept
    assert (code, data["repaired"], data["would_repair"], data["run"]) == (5, 0, 3, None)
    assert {(each["title"], each["action"]) for each in data["actions"]} == {
        ("n0003", "save"),
        ("n0009", "save"),
        ("extra", "delete"),
    }
    _, out, _ = command("validate_migration", "--repair", "--dry-run")
    assert "Would have written 2, removed 0 in the modern store; 1 extra kept" in out
    assert digest() == kept


@pytest.mark.parametrize("sample", [(), ("--sample", "100")])
def test_a_dry_run_counts_rows_as_undecided_that_it_may_not_put_into_quarantine(
    notes: AnyMigration, sample: tuple[str, ...]
) -> None:
    fill(3)
    schema.add_rows(("home", "without a body", None))
    copy_over(notes)
    schema.add_rows(("home", "nor this", None), ("away", "unseen until now", None))
    kept = digest()

    code, data = validate_json("--repair", "--dry-run", *sample)

    assert (code, data["difference_count"], data["quarantine_open"]) == (3, 0, 3)
    assert digest() == kept
    _, out, _ = command("validate_migration", "--repair", "--dry-run", *sample)
    assert "1 row in quarantine waits for a decision; not compared: manage.py quarantine list" in out
    assert "2 rows belong into quarantine; without --dry-run that is noted." in out
    assert validate_json("--repair", *sample)[1]["quarantine_open"] == 3
    assert validate_json("--repair", "--dry-run", *sample)[1]["quarantine_open"] == 3


def test_the_report_of_a_dry_run_names_rows_that_belong_into_quarantine(notes: AnyMigration, tmp_path: Path) -> None:
    fill(1)
    schema.add_rows(("home", "without a body", None))
    copy_over(notes)
    schema.add_rows(("home", "nor this", None), ("home", None, "without a title"))

    validate_json("--repair", "--dry-run", "--report", str(tmp_path / "report.json"))

    assert json.loads((tmp_path / "report.json").read_text())["quarantine"] == [
        {"code": "body_missing", "open": 2, "accepted": 0},
        {"code": "title_missing", "open": 1, "accepted": 0},
    ]


def test_an_acceptance_of_what_a_row_was_before_decides_nothing(notes: AnyMigration) -> None:
    (row,) = schema.add_rows(("home", "without a body", None))
    fill(1)
    copy_over(notes)
    QuarantineItem.objects.update(status="accepted")
    assert validate_json("--repair", "--dry-run")[0] == 0
    run("UPDATE legacy_notes SET title = 'another' WHERE id = %s", row)

    code, data = validate_json("--repair", "--dry-run")

    assert (code, data["quarantine_open"]) == (3, 1)
    assert QuarantineItem.objects.get().status == "accepted"
    assert validate_json()[0] == 3
    assert QuarantineItem.objects.get().status == "open"


@pytest.mark.parametrize("option", ["--dry-run", "--delete-extras"])
def test_options_of_repair_without_repair_are_bad_usage(notes: AnyMigration, option: str) -> None:
    assert validate_json(option)[0] == 2
    assert not Run.objects.exists()


def test_one_key_that_cannot_be_written_does_not_stop_the_others(damaged: AnyMigration) -> None:
    run("ALTER TABLE modern_notes ADD CONSTRAINT refuses CHECK (title <> 'n0003' OR lines = '{other}')")

    code, data = validate_json("--repair", "--delete-extras")

    assert (code, data["repaired"], data["repair_failed"]) == (5, 2, 1)
    assert data["repair_failures"][0]["title"] == "n0003"
    assert "refuses" in data["repair_failures"][0]["error"]
    assert not BeforeImage.objects.filter(key='["home", "n0003"]').exists()


def test_it_looks_again_under_the_lock(damaged: AnyMigration) -> None:
    validation = validate(damaged, actor="ann")
    run("UPDATE modern_notes SET lines = '{\"line 3\"}' WHERE title = 'n0003'")
    run("UPDATE legacy_notes SET body = 'newest' WHERE title = 'n0009'")

    done = repairs.repair(validation, actor="ann")

    assert (done.saved, done.gone, done.kept) == (1, 1, 1)
    assert ("home", "n0009", ["newest"]) in schema.modern_rows()
    assert Difference.objects.get(key='["home", "n0003"]').status == DifferenceStatus.GONE


HELD = {
    "the lock of this key": "SELECT pg_advisory_lock({key})",
    'while locking tuple (0,4) in relation "legacy_notes"': "SELECT FROM legacy_notes WHERE title = 'n0003' FOR UPDATE",
    'in relation "modern_notes"': "SELECT FROM modern_notes WHERE title = 'n0003' FOR UPDATE",
}


@pytest.mark.parametrize("waited_for", list(HELD))
def test_what_others_hold_does_not_hang_it_and_is_named(
    damaged: AnyMigration, monkeypatch: pytest.MonkeyPatch, waited_for: str
) -> None:
    monkeypatch.setattr(locks, "KEY_PATIENCE", timedelta(milliseconds=100))
    with second_connection() as other:
        other.execute(HELD[waited_for].format(key=_lock_id(damaged, NoteKey("home", "n0003"))))
        code, data = InThread(lambda: validate_json("--repair", "--delete-extras")).outcome()

    failures = {failure["title"]: failure["error"] for failure in data["repair_failures"]}
    assert (code, data["repaired"] + len(failures)) == (5, 3)
    assert "extra" not in failures
    assert waited_for in failures["n0003"]
    assert "others hold it" in failures["n0003"]
    assert validate_json("--repair")[1]["repaired"] == len(failures)
    assert validate_json()[0] == 0


def test_a_transition_that_is_being_made_does_not_hang_it(
    damaged: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "KEY_PATIENCE", timedelta(milliseconds=100))
    with second_connection() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [locks.fence_id(damaged)])
        code, data = InThread(lambda: validate_json("--repair")).outcome()

    assert (code, data["repaired"], data["repair_failed"]) == (5, 0, 3)
    assert {failure["error"].split(",")[0] for failure in data["repair_failures"]} == {
        "Waited 100ms for the fence of the stage"
    }


def test_it_does_not_overwrite_a_change_that_is_on_its_way(damaged: AnyMigration) -> None:
    dirty.mark_keys(damaged, [NoteKey("home", "n0003")], side=Side.MODERN)

    code, data = validate_json("--repair")

    assert (code, data["repaired"], data["repair_failed"]) == (5, 1, 1)
    assert ("home", "n0003", ["other"]) in schema.modern_rows()


def test_its_own_writes_are_not_captured(damaged: AnyMigration) -> None:
    begin_dual_write(damaged)
    go_to_live(damaged)

    _, data = validate_json("--repair", "--delete-extras")

    assert (data["repaired"], noted()) == (3, [])


@pytest.mark.parametrize(
    ("stage", "written"),
    [
        (Stage.OFF, Side.MODERN),
        (Stage.DUAL_WRITE, Side.MODERN),
        (Stage.SHADOW, Side.MODERN),
        (Stage.RAMP, Side.MODERN),
        (Stage.LIVE, Side.LEGACY),
    ],
)
def test_the_follower_of_the_stage_is_written(stage: Stage, written: Side) -> None:
    assert repairs.follower(stage) is written


def test_when_modern_is_in_authority_legacy_is_repaired(damaged: AnyMigration) -> None:
    begin_dual_write(damaged)
    go_to_live(damaged)

    code, data = validate_json("--repair", "--delete-extras")

    assert (code, data["repaired"]) == (0, 3)
    assert rows("SELECT body FROM legacy_notes WHERE title = 'n0003'") == [("other",)]
    assert rows("SELECT body FROM legacy_notes WHERE title = 'extra'") == [("x",)]
    assert rows("SELECT count(*) FROM legacy_notes WHERE title = 'n0009'") == [(0,)]
    assert set(BeforeImage.objects.values_list("side", flat=True)) == {"legacy"}
    assert validate_json()[0] == 0


def test_frozen_legacy_is_not_repaired(damaged: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairs.state, "stage", lambda migration: Stage.FROZEN)

    code, data = validate_json("--repair")

    assert code == 4
    assert "takes no writes" in data["error"]
    assert data["mismatched"] == 1


def test_extras_are_never_removed_after_a_validation_that_did_not_see_everything(damaged: AnyMigration) -> None:
    run("DELETE FROM legacy_notes")

    code, data = validate_json("--repair", "--delete-extras")

    assert (code, data["complete"], data["repaired"], data["extras_kept"]) == (5, False, 0, 10)
    assert len(schema.modern_rows()) == 10


def test_a_killed_repair_is_finished_by_the_next(
    damaged: AnyMigration, start_notes_command: Callable[..., subprocess.Popen[str]]
) -> None:
    killed = start_notes_command(
        "validate_migration", "--json", "--repair", "--delete-extras", failpoint="repair_key_repaired:1"
    )
    assert killed.wait(60) == -signal.SIGKILL

    finished = start_notes_command("validate_migration", "--json", "--repair", "--delete-extras")
    out, err = finished.communicate(timeout=60)

    assert finished.returncode == 0, err
    assert json.loads(out)["repaired"] == 2
    assert not MigrationState.objects.filter(name="notes").exclude(stage="off").exists()


def _lock_id(notes: AnyMigration, key: NoteKey) -> int:
    return locks.lock_id("key", notes.name, notes.encode_key(key))
