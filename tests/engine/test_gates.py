"""The gates: what each rests on, and that too little evidence never opens one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from migration_ops import gates, state, transitions
from migration_ops.definition import AnyMigration, ForeignKey, PreflightCheck, Status
from migration_ops.gates import Gate, Verdict
from migration_ops.models import Difference, DirtyKey, QuarantineItem, Run
from migration_ops.stages import TRANSITIONS
from migration_ops.sync.applier import drain
from tests.engine.korean import found
from tests.engine.syncing import command, hide_rows_of, rows, run
from tests.notes import schema
from tests.notes.migration import notes as notes_migration

CLEAN = {
    "complete": True,
    "sample": None,
    "notes_compared": 7,
    "mismatched": 0,
    "missing_in_modern": 0,
    "missing_in_legacy": 0,
}


def now() -> datetime:
    """The database's clock."""
    ((moment,),) = rows("SELECT clock_timestamp()")
    return moment  # type: ignore[no-any-return]


def verdict(migration: AnyMigration, gate_id: str, *, quoting: str = "") -> Verdict:
    return found(migration, gate_id, quoting=quoting).verdict


@pytest.fixture
def dual_write(notes: AnyMigration) -> AnyMigration:
    transitions.advance(notes, actor="ann")
    return notes


def a_run(kind: str, *, age: timedelta = timedelta(0), status: str = "succeeded", **fields: Any) -> Run:
    moment = now() - age
    return Run.objects.create(
        migration="notes", kind=kind, status=status, **{"started_at": moment, "ended_at": moment, **fields}
    )


def a_backfill(*, options: dict[str, Any] | None = None, **fields: Any) -> Run:
    since = state.read(notes_migration).capture_since
    remembered = {"capture_since": since and since.isoformat(), **(options or {})}
    return a_run("backfill", options=remembered, **{"result": {"rows_read": 3, "limit": None}, **fields})


def a_validation(*, result: dict[str, Any] | None = None, **fields: Any) -> Run:
    return a_run("validation", result={**CLEAN, **(result or {})}, **fields)


def test_every_gate_up_to_live_has_an_evaluator(notes: AnyMigration) -> None:
    needed = {gate_id for step in TRANSITIONS[:4] for gate_id in step.gates}
    assert not [gate for gate in gates.evaluate(notes, needed) if "No evaluator" in gate.message]


def test_a_gate_nobody_can_compute_is_inconclusive(notes: AnyMigration) -> None:
    gate = found(notes, "archive_verified")
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert "No evaluator for gate archive_verified is installed" in gate.message


@pytest.fixture
def breaking() -> Iterator[str]:
    """A gate whose evaluator breaks the transaction it is called in."""

    def evaluator(_: AnyMigration) -> Gate:
        run("SELECT 1 / 0")
        raise AssertionError

    gates.register("breaking", evaluator)
    yield "breaking"
    gates.unregister("breaking")


def test_an_evaluator_that_raises_closes_its_gate_and_spoils_nothing_else(notes: AnyMigration, breaking: str) -> None:
    first, second = gates.evaluate(notes, [breaking, "dirty_keys_drained"])
    assert first.verdict is Verdict.ERROR
    assert "division by zero" in first.message
    assert second.verdict is Verdict.PASS


def test_a_gate_has_one_evaluator(breaking: str) -> None:
    with pytest.raises(ValueError, match="'breaking' has an evaluator already"):
        gates.register(breaking, lambda _: Gate(id=breaking, verdict=Verdict.PASS, message=""))


def test_a_failed_preflight_check_closes_its_gate_and_a_warning_does_not(notes: AnyMigration) -> None:
    warned = replace(notes, preflight=(lambda: PreflightCheck("own", Status.WARN, "Take care."),))
    assert verdict(warned, "preflight_clean") is Verdict.PASS
    failed = replace(notes, preflight=(lambda: PreflightCheck("own", Status.FAIL, "It is broken."),))
    assert verdict(failed, "preflight_clean", quoting="own: It is broken.") is Verdict.FAIL


def test_a_capture_trigger_that_is_switched_off_closes_the_gate(dual_write: AnyMigration) -> None:
    assert verdict(dual_write, "capture_intact") is Verdict.PASS
    run("ALTER TABLE legacy_notes DISABLE TRIGGER USER")
    assert verdict(dual_write, "capture_intact") is Verdict.FAIL


def test_captures_that_were_lost_close_the_gate(dual_write: AnyMigration) -> None:
    run("SELECT nextval('migration_ops_capture_lost')")
    assert verdict(dual_write, "capture_intact") is Verdict.FAIL


def test_captures_that_were_lost_before_capture_was_switched_on_do_not_count(notes: AnyMigration) -> None:
    run("SELECT nextval('migration_ops_capture_lost')")
    transitions.advance(notes, actor="ann")
    assert verdict(notes, "capture_intact") is Verdict.PASS


def test_a_backfill_of_everything_opens_its_gate(dual_write: AnyMigration) -> None:
    assert verdict(dual_write, "backfill_complete") is Verdict.INCONCLUSIVE
    a_backfill()
    assert verdict(dual_write, "backfill_complete") is Verdict.PASS


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "cancelled"},
        {"status": "running"},
        {"status": "failed"},
        {"options": {"capture_since": "2020-01-01T00:00:00+00:00"}},
        {"result": {"limit": 100}},
        {"options": {"limit": 100}},
        {"options": {"dry_run": True}},
        {"options": {"source": "rows.json"}},
    ],
)
def test_a_backfill_that_saw_less_than_everything_opens_nothing(
    dual_write: AnyMigration, fields: dict[str, Any]
) -> None:
    a_backfill(**fields)
    assert verdict(dual_write, "backfill_complete") is Verdict.INCONCLUSIVE


def test_a_backfill_from_before_capture_was_switched_off_opens_nothing(notes: AnyMigration) -> None:
    transitions.advance(notes, actor="ann")
    a_backfill()
    transitions.back(notes, TRANSITIONS[0].source, actor="ann")
    assert verdict(notes, "backfill_complete") is Verdict.INCONCLUSIVE
    transitions.advance(notes, actor="ann")
    assert verdict(notes, "backfill_complete") is Verdict.INCONCLUSIVE


def test_the_clock_of_the_machine_that_ran_the_backfill_does_not_matter(dual_write: AnyMigration) -> None:
    a_backfill(age=timedelta(minutes=5))
    assert verdict(dual_write, "backfill_complete") is Verdict.PASS


def test_an_open_row_in_quarantine_closes_the_gate_until_somebody_decides(notes: AnyMigration) -> None:
    item = QuarantineItem.objects.create(migration="notes", row="1", code="c", message="m", found_at=now())
    assert verdict(notes, "quarantine_decided") is Verdict.FAIL
    item.status = "accepted"
    item.save()
    assert verdict(notes, "quarantine_decided") is Verdict.PASS
    assert found(notes, "quarantine_decided").n == 1


def test_a_clean_validation_of_everything_opens_its_gate(dual_write: AnyMigration) -> None:
    a_backfill()
    assert verdict(dual_write, "validation_clean") is Verdict.INCONCLUSIVE
    a_validation()
    gate = found(dual_write, "validation_clean")
    assert (gate.verdict, gate.n, gate.k) == (Verdict.PASS, 7, 0)
    assert gate.age is not None
    assert gate.age < 60


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"result": {"complete": False}}, Verdict.INCONCLUSIVE),
        ({"result": {"sample": 3000}}, Verdict.INCONCLUSIVE),
        ({"result": {"mismatched": None}}, Verdict.INCONCLUSIVE),
        ({"result": {"mismatched": 1}}, Verdict.FAIL),
        ({"result": {"missing_in_modern": 1}}, Verdict.FAIL),
        ({"result": {"missing_in_legacy": 1}}, Verdict.FAIL),
        ({"status": "cancelled"}, Verdict.INCONCLUSIVE),
        ({"status": "running"}, Verdict.INCONCLUSIVE),
        ({"age": timedelta(minutes=1)}, Verdict.INCONCLUSIVE),
        ({"ended_at": None}, Verdict.INCONCLUSIVE),
    ],
)
def test_a_validation_opens_its_gate_only_when_it_proves_something(
    dual_write: AnyMigration, fields: dict[str, Any], expected: Verdict
) -> None:
    a_backfill()
    a_validation(**fields)
    assert verdict(dual_write, "validation_clean") is expected


def test_a_result_without_its_counts_proves_nothing(dual_write: AnyMigration) -> None:
    a_backfill()
    a_run("validation", result={"complete": True, "sample": None})
    assert verdict(dual_write, "validation_clean") is Verdict.INCONCLUSIVE


def test_a_validation_grows_old(dual_write: AnyMigration, settings: Any) -> None:
    a_backfill()
    a_validation()
    settings.MIGRATION_OPS = {"VALIDATION_MAX_AGE": timedelta(microseconds=1)}
    gate = found(dual_write, "validation_clean")
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert "older than" in gate.message


def test_a_new_backfill_asks_for_a_new_validation(dual_write: AnyMigration) -> None:
    a_backfill()
    a_validation()
    a_backfill()
    assert verdict(dual_write, "validation_clean") is Verdict.INCONCLUSIVE


def test_a_difference_that_a_later_sample_found_closes_the_gate(dual_write: AnyMigration) -> None:
    a_backfill()
    a_validation()
    sample = a_validation(result={"sample": 10, "mismatched": 1})
    Difference.objects.create(migration="notes", run=sample, key="k", kind="mismatched", found_at=now())
    assert verdict(dual_write, "validation_clean") is Verdict.FAIL


def test_the_last_validation_of_everything_counts_and_not_the_best_one(dual_write: AnyMigration) -> None:
    a_backfill()
    a_validation()
    a_validation(result={"mismatched": 1})
    assert verdict(dual_write, "validation_clean") is Verdict.FAIL


def test_a_newer_validation_that_did_not_see_everything_closes_the_gate(dual_write: AnyMigration) -> None:
    a_backfill()
    a_validation()
    failed = a_validation(status="failed", result={"complete": False}, error="No legacy row was seen.")
    gate = found(dual_write, "validation_clean", quoting="No legacy row was seen.")
    assert gate.verdict is Verdict.FAIL
    assert gate.message == (
        f"Validation {failed.pk} did not see everything (No legacy row was seen.); see to that, then"
        " run `manage.py validate_migration`."
    )


def test_a_newer_validation_that_broke_off_closes_the_gate(dual_write: AnyMigration) -> None:
    a_backfill()
    a_validation()
    a_run("validation", status="failed", ended_at=None)
    gate = found(dual_write, "validation_clean")
    assert gate.verdict is Verdict.FAIL
    assert "it broke off" in gate.message


def test_what_a_newer_incomplete_validation_found_is_counted(dual_write: AnyMigration) -> None:
    a_backfill()
    a_validation()
    failed = a_validation(status="failed", result={"complete": False, "missing_in_modern": 3, "stray_rows": 2})
    gate = found(dual_write, "validation_clean")
    assert (gate.verdict, gate.k) == (Verdict.FAIL, 5)
    assert f"Validation {failed.pk}" in gate.message
    assert "found 5 differences; mend them" in gate.message


@pytest.mark.parametrize("status", ["running", "paused"])
@pytest.mark.parametrize("result", [{}, {"reasons": ["Something was odd."]}])
def test_a_newer_validation_that_has_not_ended_makes_the_gate_inconclusive(
    dual_write: AnyMigration, status: str, result: dict[str, Any]
) -> None:
    a_backfill()
    a_validation()
    newer = a_run("validation", status=status, ended_at=None, result=result)
    gate = found(dual_write, "validation_clean")
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert gate.message.startswith(f"Validation {newer.pk} is {status} and has not ended; wait for it, or")
    assert "`manage.py validate_migration`" in gate.message


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "cancelled"},
        {"status": "cancelled", "result": {"reasons": ["Something was odd."]}},
        {"status": "cancelled", "options": {"dry_run": 1}},
        {"status": "succeeded", "options": {"sample": 10}, "result": {**CLEAN, "sample": 10}},
        {"status": "failed", "options": {"sample": 10}},
        {"status": "failed", "options": {"dry_run": 1}},
        {"status": "failed", "result": {**CLEAN, "sample": 10, "complete": False}},
    ],
)
def test_a_newer_validation_that_was_given_up_or_never_meant_to_see_everything_changes_nothing(
    dual_write: AnyMigration, fields: dict[str, Any]
) -> None:
    a_backfill()
    clean = a_validation()
    a_run("validation", **fields)
    gate = found(dual_write, "validation_clean")
    assert (gate.verdict, gate.message) == (
        Verdict.PASS,
        f"Validation {clean.pk} compared everything and found no difference.",
    )


def test_a_clean_validation_after_an_incomplete_one_opens_the_gate_again(dual_write: AnyMigration) -> None:
    a_backfill()
    failed = a_validation(status="failed", result={"complete": False})
    assert verdict(dual_write, "validation_clean") is Verdict.FAIL
    Run.objects.filter(pk=failed.pk).update(status="cancelled")
    a_validation()
    assert verdict(dual_write, "validation_clean") is Verdict.PASS


def test_an_incomplete_validation_by_the_command_closes_the_gate(dual_write: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    drain(dual_write)
    a_backfill()
    assert command("validate_migration")[0] == 0
    assert verdict(dual_write, "validation_clean") is Verdict.PASS
    hide_rows_of("legacy_notes")
    assert command("validate_migration")[0] == 1
    gate = found(dual_write, "validation_clean", quoting=Run.objects.latest("id").error)
    assert gate.verdict is Verdict.FAIL
    assert "does not see everything" in gate.message
    run("ALTER TABLE legacy_notes DISABLE ROW LEVEL SECURITY")
    assert command("validate_migration")[0] == 0
    assert verdict(dual_write, "validation_clean") is Verdict.PASS


def test_a_change_that_waits_closes_the_gate_with_its_age(dual_write: AnyMigration) -> None:
    assert verdict(dual_write, "dirty_keys_drained") is Verdict.PASS
    schema.add_rows(("a", "t", "x"))
    DirtyKey.objects.update(created_at=now() - timedelta(seconds=90))
    gate = found(dual_write, "dirty_keys_drained")
    assert (gate.verdict, gate.value) == (Verdict.FAIL, 1)
    assert gate.age is not None
    assert 90 <= gate.age < 150


def test_a_constraint_that_is_not_validated_closes_the_gate(notes: AnyMigration) -> None:
    assert verdict(notes, "constraints_validated") is Verdict.PASS
    run("ALTER TABLE modern_notes ADD CONSTRAINT short CHECK (length(title) < 100) NOT VALID")
    assert verdict(notes, "constraints_validated", quoting="short") is Verdict.FAIL
    run("ALTER TABLE modern_notes VALIDATE CONSTRAINT short")
    assert verdict(notes, "constraints_validated") is Verdict.PASS


def test_a_foreign_key_that_is_missing_closes_the_gate(notes: AnyMigration) -> None:
    declared = replace(notes, foreign_keys=(ForeignKey("notes_of_legacy", "modern_notes", "id", "legacy_notes"),))
    assert verdict(declared, "constraints_validated") is Verdict.FAIL
    run("ALTER TABLE modern_notes ADD CONSTRAINT notes_of_legacy FOREIGN KEY (id) REFERENCES legacy_notes")
    assert verdict(declared, "constraints_validated") is Verdict.PASS
    run("ALTER TABLE modern_notes DROP CONSTRAINT notes_of_legacy")
