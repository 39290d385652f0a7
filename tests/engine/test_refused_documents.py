"""Documents that only the modern database refuses: what people see, what they decide, and what follows from it."""

from __future__ import annotations

import pytest

from migration_ops import quarantine
from migration_ops.definition import AnyMigration
from migration_ops.models import DirtyKey, Lineage, QuarantineItem
from migration_ops.sync.applier import drain
from tests.engine.syncing import begin_dual_write, command, run
from tests.engine.validating import validate_json
from tests.notes import schema


@pytest.fixture
def refused(notes: AnyMigration) -> QuarantineItem:
    """A note of two rows that a constraint keeps out, beside one that is in step; the item of its leading row."""
    begin_dual_write(notes)
    run("ALTER TABLE modern_notes ADD CONSTRAINT no_poison CHECK (title <> 'poison' OR lines = '{antidote}')")
    schema.add_rows(("a", "poison", "one"), ("a", "poison", "two"), ("b", "u", "x"))
    drain(notes)
    return QuarantineItem.objects.get(held_by=None)


def statuses() -> list[str]:
    return list(QuarantineItem.objects.order_by("row").values_list("status", flat=True))


def test_validation_counts_it_as_quarantined_not_as_missing(notes: AnyMigration, refused: QuarantineItem) -> None:
    code, data = validate_json()
    assert (code, data["missing_in_modern"], data["rows_quarantined"], data["quarantine_open"]) == (3, 0, 2, 2)
    assert (data["legacy_rows"], data["notes_compared"]) == (3, 1)
    code, data = validate_json("--sample", "10")
    assert (code, data["missing_in_modern"], data["rows_quarantined"]) == (3, 0, 2)


def test_it_is_missing_once_a_row_has_changed_unseen(notes: AnyMigration, refused: QuarantineItem) -> None:
    run("ALTER TABLE legacy_notes DISABLE TRIGGER USER")
    run("UPDATE legacy_notes SET body = 'three' WHERE id = %s", int(refused.row))
    code, data = validate_json()
    assert (code, data["missing_in_modern"], data["rows_quarantined"]) == (5, 1, 0)


def test_accepted_it_stays_behind_whole_and_nothing_waits(notes: AnyMigration, refused: QuarantineItem) -> None:
    exit_code, data = command("quarantine", "accept", str(refused.pk), "--actor", "Kim")
    assert (exit_code, data["open"], data["accepted"]) == (0, 0, 2)
    assert (data["failed"], data["remaining"]) == (0, 0)
    assert [note[1] for note in schema.modern_rows()] == ["u"]
    assert set(Lineage.objects.filter(code="refused_by_database").values_list("key", flat=True)) == {refused.key}
    code, data = validate_json()
    assert (code, data["missing_in_modern"], data["rows_quarantined"], data["quarantine_open"]) == (0, 0, 2, 0)


def test_accepted_it_is_not_tried_again_by_a_notice_that_changes_nothing(
    notes: AnyMigration, refused: QuarantineItem
) -> None:
    quarantine.accept(notes, [refused.pk], actor="Kim")
    run("ALTER TABLE modern_notes DROP CONSTRAINT no_poison")
    run("UPDATE legacy_notes SET body = body")
    drain(notes)
    assert [note[1] for note in schema.modern_rows()] == ["u"]
    assert statuses() == ["accepted", "accepted"]
    assert DirtyKey.objects.count() == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE legacy_notes SET body = 'three' WHERE body = 'one'",
        "UPDATE legacy_notes SET body = 'three' WHERE body = 'two'",
        "INSERT INTO legacy_notes (notebook, title, body) VALUES ('a', 'poison', 'three')",
        "DELETE FROM legacy_notes WHERE body = 'one'",
        "DELETE FROM legacy_notes WHERE body = 'two'",
        "UPDATE legacy_notes SET title = 'elsewhere' WHERE body = 'one'",
        "UPDATE legacy_notes SET title = 'elsewhere' WHERE body = 'two'",
    ],
)
def test_accepted_it_waits_for_a_person_again_when_it_changes_and_is_refused_again(
    notes: AnyMigration, refused: QuarantineItem, change: str
) -> None:
    quarantine.accept(notes, [refused.pk], actor="Kim")
    run(change)
    done = drain(notes)
    assert (done.failed, done.remaining) == (0, 0)
    assert "accepted" not in statuses()
    (leader,) = QuarantineItem.objects.filter(status="open", held_by=None)
    quarantine.accept(notes, [leader.pk], actor="Lee")
    assert set(statuses()) <= {"accepted", "resolved"}
    assert validate_json()[0] == 0


def test_accepted_it_is_written_when_it_changes_into_something_that_is_not_refused(
    notes: AnyMigration, refused: QuarantineItem
) -> None:
    quarantine.accept(notes, [refused.pk], actor="Kim")
    run("DELETE FROM legacy_notes WHERE body = 'one'")
    run("UPDATE legacy_notes SET body = 'antidote' WHERE body = 'two'")
    drain(notes)
    assert schema.modern_rows()[0] == ("a", "poison", ["antidote"])
    assert set(statuses()) == {"resolved"}


def test_retry_writes_it_once_the_constraint_is_gone(notes: AnyMigration, refused: QuarantineItem) -> None:
    exit_code, data = command("quarantine", "retry")
    assert (exit_code, data["open"], data["failed"]) == (3, 2, 0)
    run("ALTER TABLE modern_notes DROP CONSTRAINT no_poison")
    exit_code, data = command("quarantine", "retry")
    assert (exit_code, data["open"], data["remaining"]) == (0, 0, 0)
    assert schema.modern_rows()[0] == ("a", "poison", ["two", "one"])
    assert not Lineage.objects.exclude(code=None).exists()
    assert validate_json()[0] == 0


@pytest.mark.parametrize("accepted", [False, True])
def test_a_backfill_batch_by_batch_neither_forgets_nor_reopens_it(
    notes: AnyMigration, refused: QuarantineItem, accepted: bool
) -> None:
    if accepted:
        quarantine.accept(notes, [refused.pk], actor="Kim")
    before = statuses()
    command("backfill", "--batch-size", "1")
    assert statuses() == before
    assert validate_json()[1]["rows_quarantined"] == 2


def test_a_backfill_writes_it_and_resolves_the_items_of_every_page(
    notes: AnyMigration, refused: QuarantineItem
) -> None:
    run("ALTER TABLE modern_notes DROP CONSTRAINT no_poison")
    exit_code, data = command("backfill", "--batch-size", "1")
    assert (exit_code, data["notes_written"]) == (0, 1)
    assert statuses() == ["resolved", "resolved"]
    assert not Lineage.objects.exclude(code=None).exists()
