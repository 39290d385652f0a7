"""The life of a difference: found, found again, explained, repaired, gone; and what people do with it."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.timezone import now

from migration_ops import jobs
from migration_ops.definition import AnyMigration, Batch
from migration_ops.exceptions import Refused
from migration_ops.gates import Verdict
from migration_ops.models import (
    BeforeImage,
    Difference,
    DifferenceStatus,
    HistoryEntry,
    Run,
    RunKind,
    RunStatus,
    Severity,
)
from migration_ops.verify import differences, retention
from migration_ops.verify.drift import detect
from migration_ops.verify.watch import watch
from tests.engine.differing import backfilled, change_again, damage, of
from tests.engine.korean import found
from tests.engine.syncing import begin_dual_write, go_to_live, run, second_connection
from tests.engine.validating import command, copy_over, digest, fill, validate_json
from tests.engine.waiting import InThread
from tests.notes import schema
from tests.notes.note import Note, NoteKey
from tests.notes.stores import LegacyNotes


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 2}


@pytest.fixture
def damaged(notes: AnyMigration) -> AnyMigration:
    damage(notes)
    return notes


def drift_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = command("detect_drift", "--json", *arguments)
    return code, json.loads(out)


def test_a_difference_is_new_once_and_confirmed_from_then_on_under_the_same_number(damaged: AnyMigration) -> None:
    first = {each.key: (each.pk, each.found_at) for each in Difference.objects.all()}
    assert set(Difference.objects.values_list("status", flat=True)) == {DifferenceStatus.NEW}

    code, data = drift_json("--sample", "1")

    assert (code, data["new"], data["confirmed"], len(data["differences"])) == (5, 0, 3, 3)
    assert {each.key: (each.pk, each.found_at) for each in Difference.objects.all()} == first
    assert {each["id"] for each in data["differences"]} == {number for number, _ in first.values()}


def test_a_full_validation_finds_the_same_ones_again(damaged: AnyMigration) -> None:
    number = of("n0003").pk
    _, data = validate_json()
    assert {each["status"] for each in data["differences"]} == {"confirmed"}
    assert of("n0003").pk == number


def test_what_vanished_by_itself_is_gone_after_the_next_run(damaged: AnyMigration) -> None:
    run("UPDATE modern_notes SET lines = '{line 3}' WHERE title = 'n0003'")
    assert drift_json("--sample", "1")[1]["mismatched"] == 0
    assert (of("n0003").status, of("n0009").status) == (DifferenceStatus.GONE, DifferenceStatus.CONFIRMED)
    assert of("n0003").closed_at is not None


def test_what_was_gone_and_comes_back_is_a_new_one(damaged: AnyMigration) -> None:
    run("UPDATE modern_notes SET lines = '{line 3}' WHERE title = 'n0003'")
    drift_json("--sample", "1")
    change_again()
    _, data = drift_json("--sample", "1")
    assert (data["new"], data["confirmed"]) == (1, 2)


def test_each_difference_has_a_severity(damaged: AnyMigration) -> None:
    assert {title: of(title).severity for title in ("n0003", "n0009", "extra")} == {
        "n0003": Severity.HIGH,
        "n0009": Severity.HIGH,
        "extra": Severity.CRITICAL,
    }


def test_the_severity_follows_who_answers(damaged: AnyMigration) -> None:
    go_to_live(damaged)
    detect(damaged, actor="test")
    assert (of("n0009").severity, of("extra").severity) == (Severity.CRITICAL, Severity.HIGH)


def test_what_somebody_explained_is_no_reason_to_fail_as_long_as_it_stays_what_it_was(damaged: AnyMigration) -> None:
    numbers = [str(each.pk) for each in Difference.objects.all()]
    code, data = drift_json("explain", *numbers, "--actor", "ann", "--reason", "kept on purpose")
    assert (code, {each["status"] for each in data["items"]}) == (0, {"explained"})
    entry = HistoryEntry.objects.get(verb="difference explain")
    assert (entry.actor, entry.reason, entry.evidence["differences"]) == ("ann", "kept on purpose", 3)

    code, data = drift_json("--sample", "1")
    assert (code, data["explained"], data["difference_count"]) == (0, 3, 3)
    assert validate_json()[0] == 0
    assert of("n0003").explained_by == "ann"

    change_again()
    code, data = drift_json("--sample", "1")
    assert (code, data["explained"], data["new"]) == (5, 2, 1)
    assert (of("n0003").status, of("n0003").explanation) == (DifferenceStatus.NEW, "")


def test_an_explained_difference_that_is_equal_by_now_is_gone(damaged: AnyMigration) -> None:
    differences.explain(damaged, [of("n0003").pk], actor="ann", reason="known")
    run("UPDATE modern_notes SET lines = '{line 3}' WHERE title = 'n0003'")
    drift_json("--sample", "1")
    assert of("n0003").status == DifferenceStatus.GONE


def test_the_gate_counts_what_is_explained_as_long_as_both_sides_say_that(damaged: AnyMigration) -> None:
    backfilled(damaged)
    validate_json()
    assert (found(damaged, "validation_clean").verdict, found(damaged, "validation_clean").value) == (Verdict.FAIL, 3)

    numbers = list(Difference.objects.values_list("pk", flat=True))
    differences.explain(damaged, numbers[:2], actor="ann", reason="known")
    assert found(damaged, "validation_clean").value == 1
    differences.explain(damaged, numbers[2:], actor="ann", reason="known")
    assert found(damaged, "validation_clean").verdict is Verdict.PASS
    drift_json("--sample", "1")
    assert found(damaged, "validation_clean").verdict is Verdict.PASS

    change_again()
    assert (found(damaged, "validation_clean").verdict, found(damaged, "validation_clean").value) == (Verdict.FAIL, 1)


def test_what_a_drift_run_finds_after_a_clean_validation_closes_the_gate(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    fill(10)
    copy_over(notes)
    run("DELETE FROM migration_ops_dirtykey")
    backfilled(notes)
    validate_json()
    assert found(notes, "validation_clean").verdict is Verdict.PASS
    change_again()
    run("UPDATE legacy_notes SET body = 'on its way' WHERE title = 'n0005'")
    drift_json("--sample", "1")
    assert found(notes, "validation_clean").value == 1, "what waits on the dirty list is the business of its own gate"


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_nobody_explains_without_a_reason(damaged: AnyMigration, reason: str) -> None:
    kept = digest()
    code, _ = drift_json("explain", str(of("n0003").pk), "--reason", reason)
    assert code == 2
    assert digest() == kept


def test_the_database_keeps_no_explanation_of_nobody(damaged: AnyMigration) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Difference.objects.filter(pk=of("n0003").pk).update(status=DifferenceStatus.EXPLAINED)


def test_what_changed_since_it_was_found_has_to_be_looked_at_first(damaged: AnyMigration) -> None:
    change_again()
    number = str(of("n0003").pk)
    code, data = drift_json("explain", number, "--reason", "known")
    assert code == 4
    assert "detect_drift look" in data["error"]

    code, data = drift_json("look", number)
    assert (code, data["items"][0]["fields"][0]["modern"]) == (5, "another")
    assert drift_json("explain", number, "--reason", "known")[0] == 0


def test_a_look_finds_what_is_equal_by_now(damaged: AnyMigration) -> None:
    run("UPDATE modern_notes SET lines = '{line 3}' WHERE title = 'n0003'")
    code, data = drift_json("look", str(of("n0003").pk))
    assert (code, data["items"][0]["status"]) == (0, "gone")
    assert of("n0003").status == DifferenceStatus.GONE


def test_an_explanation_can_be_taken_back(damaged: AnyMigration) -> None:
    number = of("n0003").pk
    differences.explain(damaged, [number], actor="ann", reason="known")
    code, data = drift_json("reopen", str(number), "--actor", "bob", "--reason", "not known after all")
    assert (code, data["items"][0]["status"]) == (0, "confirmed")
    assert HistoryEntry.objects.get(verb="difference reopen").actor == "bob"
    assert drift_json("reopen", str(number))[0] == 2, "it is not explained any more"


def test_one_is_repaired_and_the_others_stay(damaged: AnyMigration) -> None:
    code, data = drift_json("repair", str(of("n0003").pk), "--actor", "ann", "--reason", "drill")
    assert (code, data["repaired"]) == (0, 1)
    assert (of("n0003").status, of("n0009").status) == (DifferenceStatus.REPAIRED, DifferenceStatus.NEW)
    assert BeforeImage.objects.get().key == of("n0003").key
    assert HistoryEntry.objects.get(verb="repair").reason == "drill"


def test_an_extra_goes_only_when_asked_for(damaged: AnyMigration) -> None:
    number = str(of("extra").pk)
    assert drift_json("repair", number)[1]["extras_kept"] == 1
    assert drift_json("repair", number, "--delete-extras")[0] == 0
    assert "extra" not in {title for _, title, _ in schema.modern_rows()}


def test_what_is_explained_is_not_repaired(damaged: AnyMigration) -> None:
    number = of("n0003").pk
    differences.explain(damaged, [number], actor="ann", reason="known")
    with pytest.raises(Refused, match="reopen it first"):
        differences.repair(damaged, [number], actor="ann")
    drift_json("--repair", "--delete-extras")
    assert ("home", "n0003", ["other"]) in schema.modern_rows()
    assert of("n0003").status == DifferenceStatus.EXPLAINED


@pytest.mark.parametrize("verb", ["look", "explain", "reopen", "repair"])
def test_a_dry_run_of_each_verb_writes_nothing(damaged: AnyMigration, verb: str) -> None:
    if verb == "reopen":
        differences.explain(damaged, [of("n0003").pk], actor="ann", reason="known")
    change = verb == "look"
    if change:
        change_again()
    kept = digest()
    code, data = drift_json(verb, str(of("n0003").pk), "--dry-run", *(["--reason", "x"] if verb == "explain" else []))
    assert digest() == kept
    assert data["dry_run"] is True
    assert code == (5 if verb in ("look", "repair") else 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["look"],
        ["explain", "--reason", "x"],
        ["look", "999999"],
        ["look", "x"],
        ["list", "3"],
        ["run", "3"],
        ["list", "--sample", "3"],
        ["run", "--status", "gone"],
        ["explain", "3", "--delete-extras", "--reason", "x"],
        ["--delete-extras"],
        ["--sample", "0"],
        ["--sample", "1000001"],
    ],
)
def test_what_makes_no_sense_is_bad_usage_and_changes_nothing(damaged: AnyMigration, arguments: list[str]) -> None:
    kept = digest()
    assert drift_json(*arguments)[0] == 2
    assert digest() == kept


def test_the_list_shows_what_is_there_and_counts_the_rest(damaged: AnyMigration) -> None:
    drift_json("repair", str(of("n0003").pk))
    code, data = drift_json("list")
    assert code == 0
    assert {each["title"] for each in data["items"]} == {"n0009", "extra"}
    assert data["statuses"] == {"new": 2, "repaired": 1}
    assert data["severities"] == {"critical": 1, "high": 1}
    assert [each["title"] for each in drift_json("list", "--severity", "high")[1]["items"]] == ["n0009"]
    assert [each["title"] for each in drift_json("list", "--status", "repaired")[1]["items"]] == ["n0003"]
    assert len(drift_json("list", "--status", "all", "--limit", "2")[1]["items"]) == 2
    assert "extra" in command("detect_drift", "list")[1]


def test_the_work_in_the_background_leaves_repairs_to_people_unless_it_is_told_otherwise(
    damaged: AnyMigration, settings: Any
) -> None:
    backfilled(damaged)
    watched = watch(damaged)
    assert watched.drift is not None
    assert (watched.drift.unsettled, watched.repair) == (3, None)

    settings.MIGRATION_OPS = {**settings.MIGRATION_OPS, "DRIFT_REPAIR": "authority"}
    watched = watch(damaged)

    assert watched.repair is not None
    assert (watched.repair.saved, watched.repair.kept) == (2, 0)
    assert of("extra").status == DifferenceStatus.CONFIRMED, "people would lose it: a person has to look"
    assert HistoryEntry.objects.get(verb="repair").actor == "scheduler"


def test_before_the_backfill_and_where_nothing_is_kept_in_step_there_is_nothing_to_do(notes: AnyMigration) -> None:
    assert watch(notes).drift is None
    begin_dual_write(notes)
    assert watch(notes).drift is None
    backfilled(notes)
    assert watch(notes).drift is not None
    go_to_live(notes)
    run("UPDATE migration_ops_migrationstate SET stage = 'frozen', version = version + 1")
    assert watch(notes).drift is None


def test_the_job_looks_after_every_migration(damaged: AnyMigration) -> None:
    backfilled(damaged)
    jobs.detect_drift()
    assert Run.objects.filter(kind=RunKind.DRIFT, actor="scheduler", status=RunStatus.SUCCEEDED).count() == 1


def age_everything(days: int) -> None:
    back = timezone.now() - timedelta(days=days)
    Difference.objects.exclude(closed_at=None).update(closed_at=back)
    Run.objects.update(started_at=back, ended_at=back)


def test_what_is_settled_is_thrown_away_after_its_time_and_what_stands_stays(
    damaged: AnyMigration, settings: Any
) -> None:
    settings.MIGRATION_OPS = {
        **settings.MIGRATION_OPS,
        "DIFFERENCE_RETENTION": timedelta(days=10),
        "RUN_RETENTION": timedelta(days=10),
    }
    differences.repair(damaged, [of("n0003").pk], actor="ann")
    differences.explain(damaged, [of("extra").pk], actor="ann", reason="known")
    first = Run.objects.get(kind=RunKind.DRIFT)
    validate_json()
    detect(damaged, actor="test")
    detect(damaged, actor="test")
    age_everything(9)
    assert retention.purge() == 0

    age_everything(11)
    assert retention.purge() == 3, "the difference that was repaired, and two drift runs that are not the newest"

    assert not Run.objects.filter(pk=first.pk).exists()
    assert set(Run.objects.values_list("kind", flat=True)) == {RunKind.VALIDATION, RunKind.DRIFT}
    assert {each.status for each in Difference.objects.all()} == {"confirmed", "explained"}
    assert detect(damaged, actor="test").everything_because == "", "what was compared is still known"


def test_a_dry_run_in_the_background_is_thrown_away_after_its_time_once_there_is_a_newer_one(
    notes: AnyMigration, settings: Any
) -> None:
    settings.MIGRATION_OPS = {"RUN_RETENTION": timedelta(days=10)}
    made = {"migration": "notes", "kind": RunKind.REHEARSAL, "started_at": now()}
    old, new = (Run.objects.create(**made, status=RunStatus.SUCCEEDED) for _ in range(2))
    Run.objects.create(**made, status=RunStatus.FAILED)
    age_everything(9)
    assert retention.purge() == 0
    age_everything(11)
    assert retention.purge() == 1
    assert (Run.objects.filter(pk=old.pk).exists(), Run.objects.filter(pk=new.pk).exists()) == (False, True)


def test_both_stores_are_read_at_one_moment_before_a_difference_is_explained(
    damaged: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = LegacyNotes.load

    def overtaken(self: LegacyNotes, keys: Collection[NoteKey], *, lock: bool = False) -> Batch[NoteKey, Note]:
        batch = load(self, keys, lock=lock)
        with second_connection() as somebody:
            somebody.execute("UPDATE modern_notes SET lines = '{mine}' WHERE title = 'n0003'")
        return batch

    monkeypatch.setattr(LegacyNotes, "load", overtaken)
    (explained,) = differences.explain(damaged, [of("n0003").pk], actor="ann", reason="known")
    assert explained.fields[0]["modern"] == "other", "that is what was explained"
    monkeypatch.undo()
    assert detect(damaged, actor="test").particulars()["new"] == 1, "and what is there now is not"


def test_a_look_waits_for_nobody_who_decides(damaged: AnyMigration) -> None:
    number = of("n0003").pk
    with second_connection() as somebody:
        somebody.execute("SELECT FROM migration_ops_difference FOR UPDATE")
        (seen,) = InThread(lambda: differences.planned_look(damaged, [number])).outcome()
    assert (seen.pk, seen.status) == (number, DifferenceStatus.CONFIRMED)
    assert of("n0003").status == DifferenceStatus.NEW, "nothing is kept"


def test_what_a_file_differs_in_is_no_open_difference_of_the_stores(damaged: AnyMigration) -> None:
    of_file = Run.objects.create(
        migration="notes", kind=RunKind.VALIDATION, status="failed", options={"source": "x.json"}, started_at=now()
    )
    Difference.objects.create(migration="notes", run=of_file, key='["a", "b"]', kind="mismatched", found_at=now())
    assert json.loads(command("migration_status", "--json")[1])["differences_open"] == 3
