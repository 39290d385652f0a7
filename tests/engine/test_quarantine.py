"""Quarantine on the tiny domain: what people see and decide, and what follows from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models import F, QuerySet

from migration_ops import gates, quarantine
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import Refused, UnusableInput
from migration_ops.models import DirtyKey, HistoryEntry, Lineage, QuarantineItem
from migration_ops.quarantine_listing import listing
from migration_ops.sync import dirty
from migration_ops.sync.applier import drain
from tests.engine.syncing import begin_dual_write, command, rows, run
from tests.notes import schema
from tests.notes.note import NoteKey
from tests.notes.stores import LegacyNotes
from tests.peak_memory import run_measured


@pytest.fixture
def synced(notes: AnyMigration) -> AnyMigration:
    begin_dual_write(notes)
    return notes


@pytest.fixture
def held(synced: AnyMigration) -> dict[str, QuarantineItem]:
    """A note of two good rows and one without a body; and a row of nobody's."""
    schema.add_rows(("a", "t", "one"), ("a", "t", None), ("a", "t", "three"), (None, "lost", "four"))
    drain(synced)
    assert schema.modern_rows() == []
    return {item.row: item for item in QuarantineItem.objects.all()}


def decisions() -> QuerySet[HistoryEntry]:
    return HistoryEntry.objects.filter(verb__startswith="quarantine")


def row_of(held: dict[str, QuarantineItem], code: str) -> QuarantineItem:
    (item,) = [item for item in held.values() if item.code == code and item.held_by is None]
    return item


def test_the_list_shows_what_waits_and_why(synced: AnyMigration, held: dict[str, QuarantineItem]) -> None:
    exit_code, data = command("quarantine", "list")
    assert exit_code == 0
    assert (data["open"], data["accepted"], len(data["items"])) == (4, 0, 4)
    culprit = row_of(held, "body_missing")
    by_row = {item["row"]: item for item in data["items"]}
    assert by_row[int(culprit.row)]["message"] == f"Row {culprit.row} has no body."
    siblings = [item for item in data["items"] if item["held_by"] is not None]
    assert {item["held_by"] for item in siblings} == {int(culprit.row)}
    assert siblings[0]["message"] == (
        f"Held because row {culprit.row} of the same note is in quarantine (body_missing)."
    )


def test_the_list_can_be_narrowed_and_cut_and_still_counts_everything(
    synced: AnyMigration, held: dict[str, QuarantineItem]
) -> None:
    _, data = command("quarantine", "list", "--code", "notebook_missing")
    assert [item["code"] for item in data["items"]] == ["notebook_missing"]
    assert data["open"] == 4
    _, data = command("quarantine", "--limit", "1")
    assert len(data["items"]) == 1
    _, data = command("quarantine", "list", "--status", "accepted")
    assert data["items"] == []
    exit_code, data = command("quarantine", "list", "--code", "nonsense")
    assert exit_code == 2
    assert "title_missing" in data["error"]


def test_accepting_the_culprit_writes_the_rest_of_its_document(
    synced: AnyMigration, held: dict[str, QuarantineItem]
) -> None:
    culprit = row_of(held, "body_missing")
    exit_code, data = command("quarantine", "accept", str(culprit.pk), "--actor", "Kim", "--reason", "empty anyway")
    assert exit_code == 0
    assert (data["open"], data["accepted"], data["applied"]) == (1, 1, 1)
    assert [(item["id"], item["status"], item["decided_by"]) for item in data["items"]] == [
        (culprit.pk, "accepted", "Kim")
    ]
    assert schema.modern_rows() == [("a", "t", ["three", "one"])]
    assert Lineage.objects.get(row=culprit.row).code == "body_missing"
    entry = HistoryEntry.objects.get(verb="quarantine accept")
    assert (entry.actor, entry.reason) == ("Kim", "empty anyway")
    assert entry.evidence == {"rows": 1, "items": [{"id": culprit.pk, "row": int(culprit.row), "code": "body_missing"}]}


def test_what_a_person_decided_on_is_no_change_that_came_late(
    synced: AnyMigration, held: dict[str, QuarantineItem]
) -> None:
    """The applier that follows may be the one who looks again, with all the rows of the decision at once."""
    with transaction.atomic():
        dirty.mark_rows(synced, list(held))
        schema.add_rows(("b", "u", "y"))
    DirtyKey.objects.update(
        created_at=F("created_at") - timedelta(seconds=3), not_before=F("not_before") - timedelta(seconds=3)
    )
    (gate,) = gates.evaluate(synced, ["sync_lag"])
    assert gate.k == 1
    done = drain(synced)
    assert (done.applied, len(done.lags)) == (5, 1)


def test_accepting_twice_is_one_decision(synced: AnyMigration, held: dict[str, QuarantineItem]) -> None:
    culprit = row_of(held, "body_missing")
    quarantine.accept(synced, [culprit.pk], actor="Kim")
    again = quarantine.accept(synced, [culprit.pk], actor="Lee")
    assert again.listing.items[0].decided_by == "Kim"
    assert decisions().count() == 1


def test_an_accepted_row_that_changes_waits_again_and_holds_its_document(
    synced: AnyMigration, held: dict[str, QuarantineItem]
) -> None:
    culprit = row_of(held, "body_missing")
    quarantine.accept(synced, [culprit.pk], actor="Kim")
    run("UPDATE legacy_notes SET title = 't ' WHERE id = %s", int(culprit.row))
    drain(synced)
    culprit.refresh_from_db()
    assert (culprit.status, culprit.decided_by) == ("open", "")
    assert schema.modern_rows() == []
    assert listing(synced).open == 4


def test_a_held_row_is_not_accepted_and_the_sentence_says_which_one_to_decide_on(
    synced: AnyMigration, held: dict[str, QuarantineItem]
) -> None:
    culprit = row_of(held, "body_missing")
    sibling = next(item for item in held.values() if item.held_by)
    exit_code, data = command("quarantine", "accept", str(sibling.pk))
    assert exit_code == 2
    assert f"held because of row {culprit.row}" in data["error"]
    assert (data["open"], data["accepted"]) == (4, 0)
    assert not decisions().exists()


def test_the_whole_list_can_be_accepted_with_what_is_held_back_in_it(
    synced: AnyMigration, held: dict[str, QuarantineItem]
) -> None:
    everything = [str(item.pk) for item in held.values()]
    exit_code, data = command("quarantine", "accept", *everything, "--actor", "Kim", "--reason", "all seen")
    assert exit_code == 0
    assert (data["open"], data["accepted"]) == (0, 2)
    assert {item["status"] for item in data["items"] if item["held_by"] is not None} == {"resolved"}
    assert schema.modern_rows() == [("a", "t", ["three", "one"])]
    assert command("quarantine", "accept", *everything)[0] == 2  # two of them are resolved


@pytest.mark.parametrize("ids", [["999999"], ["x"], ["1.5"], ["9" * 30], []])
def test_ids_that_mean_nothing_end_with_2_and_nothing_written(
    synced: AnyMigration, held: dict[str, QuarantineItem], ids: list[str]
) -> None:
    known = str(row_of(held, "body_missing").pk)
    exit_code, _ = command("quarantine", "accept", *([known, *ids] if ids else []))
    assert exit_code == 2
    assert listing(synced).accepted == 0
    assert not decisions().exists()


def test_a_resolved_item_is_nobody_s_to_decide(synced: AnyMigration, held: dict[str, QuarantineItem]) -> None:
    culprit = row_of(held, "body_missing")
    run("UPDATE legacy_notes SET body = 'two' WHERE id = %s", int(culprit.row))
    drain(synced)
    with pytest.raises(UnusableInput, match=r"is resolved: The row is no longer rejected\."):
        quarantine.accept(synced, [culprit.pk], actor="Kim")


def test_an_owner_makes_a_document_of_a_row_of_nobody_s(synced: AnyMigration, held: dict[str, QuarantineItem]) -> None:
    lost = row_of(held, "notebook_missing")
    exit_code, data = command("quarantine", "assign-owner", str(lost.pk), "--owner", "b", "--actor", "Kim")
    assert (exit_code, data["open"], data["applied"]) == (0, 3, 1)
    assert data["items"][0]["status"] == "resolved"
    assert schema.modern_rows() == [("b", "lost", ["four"])]
    assert decisions().get().evidence["owner"] == "b"


def test_an_owner_is_not_given_to_a_row_that_has_one(synced: AnyMigration, held: dict[str, QuarantineItem]) -> None:
    lost, culprit = row_of(held, "notebook_missing"), row_of(held, "body_missing")
    exit_code, data = command("quarantine", "assign-owner", str(lost.pk), str(culprit.pk), "--owner", "b")
    assert exit_code == 2
    assert "notebook already" in data["error"]
    assert rows("SELECT notebook FROM legacy_notes WHERE id = %s", int(lost.row)) == [(None,)]
    assert (decisions().count(), DirtyKey.objects.count()) == (0, 0)


def test_an_owner_is_not_given_to_a_row_that_is_gone(synced: AnyMigration, held: dict[str, QuarantineItem]) -> None:
    lost = row_of(held, "notebook_missing")
    run("DELETE FROM legacy_notes WHERE id = %s", int(lost.row))
    with pytest.raises(UnusableInput, match="Of 1 rows only 0"):
        quarantine.assign_owner(synced, [lost.pk], owner="b", actor="Kim")


def test_retry_resolves_what_is_no_longer_rejected_and_says_that_others_wait(
    synced: AnyMigration, held: dict[str, QuarantineItem]
) -> None:
    run("ALTER TABLE legacy_notes DISABLE TRIGGER USER")
    run("UPDATE legacy_notes SET body = 'two' WHERE body IS NULL")
    assert drain(synced).applied == 0
    exit_code, data = command("quarantine", "retry", "--actor", "Kim")
    assert (exit_code, data["open"]) == (3, 1)
    assert schema.modern_rows() == [("a", "t", ["three", "two", "one"])]
    run("UPDATE legacy_notes SET notebook = 'b' WHERE notebook IS NULL")
    exit_code, data = command("quarantine", "retry")
    assert (exit_code, data["open"]) == (0, 0)
    assert command("quarantine", "retry") == (
        0,
        {"open": 0, "accepted": 0, "items": [], "rows": 0, "advice": [], "applied": 0, "failed": 0, "remaining": 0},
    )


def test_retry_at_stage_off_is_refused(notes: AnyMigration) -> None:
    with pytest.raises(Refused, match="stage off"):
        quarantine.retry(notes, actor="Kim")
    exit_code, data = command("quarantine", "retry")
    assert exit_code == 4
    assert "stage off" in data["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["accept", "1", "--owner", "b"],
        ["assign-owner", "1"],
        ["list", "1"],
        ["accept", "1", "--code", "body_missing"],
        ["accept", "--code", "nobody_s"],
        ["retry", "1", "--status", "open"],
        ["accept", "1", "--limit", "5"],
    ],
)
def test_options_that_do_not_belong_together_end_with_2(synced: AnyMigration, arguments: list[str]) -> None:
    exit_code, _ = command("quarantine", *arguments)
    assert exit_code == 2


def test_options_may_stand_between_the_ids(synced: AnyMigration, held: dict[str, QuarantineItem]) -> None:
    culprit, lost = row_of(held, "body_missing"), row_of(held, "notebook_missing")
    exit_code, data = command("quarantine", "accept", str(culprit.pk), "--reason", "old", str(lost.pk))
    assert (exit_code, data["accepted"]) == (0, 2)


def test_a_decision_that_was_carried_out_is_not_blamed_for_another_key_that_fails(
    synced: AnyMigration, held: dict[str, QuarantineItem]
) -> None:
    schema.add_rows(("other", "stuck", None))
    drain(synced)
    dirty.mark_keys(synced, [NoteKey("other", "stuck")], side=Side.MODERN)
    exit_code, data = command("quarantine", "accept", str(row_of(held, "body_missing").pk))
    assert (exit_code, data["applied"], data["failed"], data["remaining"]) == (0, 1, 1, 1)


class RememberedNotes(LegacyNotes):
    """A store that keeps what it was asked to write, as a file does that no rollback reaches."""

    written: ClassVar[list[str]] = []

    def assign_unit(self, rows: Collection[str], unit: str) -> int:
        self.written.extend(rows)
        return super().assign_unit(rows, unit)


def test_nothing_is_written_to_a_store_without_rollback_unless_all_rows_are_there_and_the_history_has_it(
    synced: AnyMigration, held: dict[str, QuarantineItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RememberedNotes, "written", [])
    remembered = replace(synced, legacy=RememberedNotes)
    lost = row_of(held, "notebook_missing")
    with pytest.raises(UnusableInput, match="cannot store"):
        quarantine.assign_owner(remembered, [lost.pk], owner="b", actor="Kim\x00")
    run("DELETE FROM legacy_notes WHERE id = %s", int(lost.row))
    with pytest.raises(UnusableInput, match="Of 1 rows only 0"):
        quarantine.assign_owner(remembered, [lost.pk], owner="b", actor="Kim")
    assert RememberedNotes.written == []


@pytest.mark.parametrize("verb", ["accept", "assign-owner", "retry"])
def test_a_dry_run_writes_nothing(synced: AnyMigration, held: dict[str, QuarantineItem], verb: str) -> None:
    item = str(row_of(held, "notebook_missing").pk)
    arguments: dict[str, list[str]] = {
        "accept": [item],
        "assign-owner": [item, "--owner", "b"],
        "retry": [],
    }
    exit_code, data = command("quarantine", verb, *arguments[verb], "--dry-run")
    assert (exit_code, data["open"], data["dry_run"]) == (0, 4, True)
    assert len(data["items"]) == (4 if verb == "retry" else 1)
    assert (decisions().count(), DirtyKey.objects.count()) == (0, 0)


def test_markup_in_a_row_is_shown_as_text(
    synced: AnyMigration, capsys: pytest.CaptureFixture[str], held: dict[str, QuarantineItem]
) -> None:
    item = row_of(held, "notebook_missing")
    QuarantineItem.objects.filter(pk=item.pk).update(message="[red]<b>Row\\[[/]")
    call_command("quarantine", "list")
    assert "[red]<b>Row\\[[/]" in capsys.readouterr().out


def lose(count: int) -> None:
    """So many more rows of nobody's, in quarantine."""
    run("ALTER TABLE legacy_notes DISABLE TRIGGER USER")
    run(
        "INSERT INTO legacy_notes (notebook, title, body)"
        " SELECT NULL, 'lost ' || n, 'line' FROM generate_series(1, %s) AS n",
        count,
    )
    run("ALTER TABLE legacy_notes ENABLE TRIGGER USER")
    run(
        "INSERT INTO migration_ops_quarantineitem (migration, row, code, message, raw, fingerprint, status, refused,"
        " found_at, decided_by, reason) SELECT 'notes', id::text, 'notebook_missing', 'It has no notebook.',"
        " repeat('x', 2000), '', 'open', false, now(), '', '' FROM legacy_notes WHERE notebook IS NULL"
        " ON CONFLICT DO NOTHING"
    )


def test_a_retry_of_very_many_rows_counts_them_all_and_names_the_first_hundred(synced: AnyMigration) -> None:
    lose(150)
    run("UPDATE legacy_notes SET notebook = 'found' WHERE title IN ('lost 1', 'lost 150')")
    exit_code, data = command("quarantine", "retry", "--dry-run")
    assert (exit_code, data["rows"], len(data["items"])) == (0, 150, 100)
    exit_code, data = command("quarantine", "retry")
    assert (exit_code, data["open"], data["rows"], len(data["items"])) == (3, 148, 150, 100)
    assert data["items"][0]["status"] == "resolved"
    evidence = decisions().get().evidence
    assert (evidence["rows"], len(evidence["items"])) == (150, 100)
    assert DirtyKey.objects.count() == 0


@pytest.mark.parametrize(
    ("few", "many", "most"), [(1_000, 10_000, 10), pytest.param(20_000, 200_000, 60, marks=pytest.mark.slow)]
)
def test_memory_of_a_retry_does_not_grow_with_the_rows(synced: AnyMigration, few: int, many: int, most: int) -> None:
    peaks = []
    for rows_there, more in ((few, few), (many, many - few)):
        lose(more)
        measured = run_measured("quarantine", "retry", domain="notes")
        assert (measured.exit_code, measured.said["rows"]) == (3, rows_there)
        peaks.append(measured.peak)
    assert peaks[1] - peaks[0] < most
