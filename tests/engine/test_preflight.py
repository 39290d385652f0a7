"""Preflight: each check finds what it looks for, and none of them raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.db.migrations.recorder import MigrationRecorder

from migration_ops import preflight
from migration_ops.definition import AnyMigration, PreflightCheck, Status
from migration_ops.exceptions import UnusableInput
from migration_ops.preflight import checks
from tests.engine.korean import assert_korean
from tests.engine.syncing import run, second_connection
from tests.engine.waiting import InThread, eventually
from tests.notes import schema

OK, WARN, FAIL = Status.OK, Status.WARN, Status.FAIL


def found(migration: AnyMigration, check_id: str) -> PreflightCheck:
    (check,) = [check for check in preflight.run(migration).checks if check.id == check_id]
    if check.status is FAIL:  # a gate quotes it
        assert_korean(check.message)
    return check


def test_all_is_well_with_the_tiny_domain(notes: AnyMigration) -> None:
    report = preflight.run(notes)
    assert report.ok
    assert len({check.id for check in report.checks}) == len(report.checks) == len(checks.CHECKS) + 1


def test_each_check_says_its_own_id(notes: AnyMigration) -> None:
    assert [check(notes).id for check in checks.CHECKS] == [check.__name__ for check in checks.CHECKS]


@pytest.mark.parametrize(("version", "status"), [(13, FAIL), (14, OK), (18, OK), (19, WARN)])
def test_only_versions_that_were_tried_are_taken_without_a_word(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch, version: int, status: Status
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
        server = cursor.fetchone()[0]
    monkeypatch.setattr(checks, "OLDEST_SERVER", 14 + server - version)
    monkeypatch.setattr(checks, "NEWEST_SERVER", 18 + server - version)
    assert found(notes, "server_version").status is status


@pytest.mark.parametrize(("table", "check_id"), [("legacy_notes", "legacy_tables"), ("modern_notes", "modern_tables")])
def test_a_missing_table_fails_with_its_name(notes: AnyMigration, table: str, check_id: str) -> None:
    run(f"DROP TABLE {table}")
    check = found(notes, check_id)
    assert check.status is FAIL
    assert table in check.message
    assert check.hint


def test_a_table_of_somebody_else_fails(notes: AnyMigration) -> None:
    check = found(replace(notes, modern_tables=("pg_catalog.pg_class",)), "ownership")
    assert check.status is FAIL
    assert "pg_class" in check.message


def test_migrations_that_were_not_applied_fail_with_their_names(notes: AnyMigration) -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("migration_ops", "0002_history_head")
    try:
        check = found(notes, "migrations_applied")
    finally:
        recorder.record_applied("migration_ops", "0002_history_head")
    assert check.status is FAIL
    assert "migration_ops.0002_history_head" in check.message


@pytest.fixture
def guard_off() -> Iterator[str]:
    name = "migration_ops_state_guard"
    run(f"ALTER TABLE migration_ops_migrationstate DISABLE TRIGGER {name}")
    yield name
    run(f"ALTER TABLE migration_ops_migrationstate ENABLE ALWAYS TRIGGER {name}")


def test_a_guard_that_is_off_fails(notes: AnyMigration, guard_off: str) -> None:
    check = found(notes, "guards_in_place")
    assert check.status is FAIL
    assert guard_off in check.message


def test_an_index_that_a_failed_build_left_behind_fails(notes: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"), ("a", "t", "x"))
    with pytest.raises(IntegrityError):
        run("CREATE UNIQUE INDEX CONCURRENTLY left_behind ON legacy_notes (body)")
    check = found(notes, "indexes")
    assert check.status is FAIL
    assert "left_behind" in check.message


def test_a_table_without_autovacuum_is_worth_a_warning(notes: AnyMigration) -> None:
    run("ALTER TABLE modern_notes SET (autovacuum_enabled = off)")
    assert found(notes, "autovacuum").status is WARN


def test_a_captured_table_that_a_subscription_writes_to_fails(notes: AnyMigration) -> None:
    run("CREATE TEMPORARY TABLE pg_subscription_rel AS SELECT 'legacy_notes'::regclass::oid AS srrelid")
    run("SET search_path = pg_temp, public, pg_catalog")  # what stands in for the catalog's table comes first
    try:
        check = found(notes, "subscriptions")
    finally:
        run("RESET search_path")
        run("DROP TABLE pg_temp.pg_subscription_rel")
    assert check.status is FAIL
    assert "legacy_notes" in check.message


def test_a_role_that_row_security_filters_fails(notes: AnyMigration) -> None:
    run("ALTER TABLE modern_notes ENABLE ROW LEVEL SECURITY")
    assert found(notes, "row_security").status is OK
    run("ALTER TABLE modern_notes FORCE ROW LEVEL SECURITY")
    check = found(notes, "row_security")
    assert check.status is FAIL
    assert "modern_notes" in check.message


def test_sessions_that_wait_for_locks_are_worth_a_warning(notes: AnyMigration) -> None:
    with second_connection() as holder:
        holder.execute("LOCK TABLE modern_notes")
        waiting = InThread(lambda: run("SELECT 1 FROM modern_notes"))
        eventually(lambda: found(notes, "blocked_locks").status is WARN)
        assert f"waits for pid {holder.info.backend_pid}" in found(notes, "blocked_locks").message
    waiting.outcome()


def test_a_session_that_idles_in_a_transaction_is_worth_a_warning(notes: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"PREFLIGHT_IDLE_TRANSACTION": timedelta(milliseconds=1)}
    with second_connection() as idle:
        idle.execute("SELECT 1")
        eventually(lambda: f"pid {idle.info.backend_pid}" in found(notes, "idle_transactions").message)
        assert found(notes, "idle_transactions").status is WARN


def test_a_check_of_the_domain_that_raises_has_failed_and_the_others_are_still_made(notes: AnyMigration) -> None:
    def broken() -> PreflightCheck:
        run("SELECT nothing")
        raise AssertionError

    def fine() -> PreflightCheck:
        return PreflightCheck("fine", OK, "Fine.")

    report = preflight.run(replace(notes, preflight=(broken, fine)))
    assert not report.ok
    (failed,) = report.failed
    assert failed.id == "broken"
    assert "could not be looked at" in failed.message
    assert report.checks[-1].id == "fine"


def test_a_legacy_store_that_cannot_be_opened_fails_without_raising(notes: AnyMigration) -> None:
    def missing() -> Any:
        raise UnusableInput("There is no file rows.json.")

    report = preflight.run(replace(notes, legacy=missing))
    assert not report.ok
    assert any("There is no file rows.json." in check.message for check in report.failed)


def test_the_command_ends_with_1_when_a_check_fails(notes: AnyMigration) -> None:
    assert by_command() == (0, True)
    run("DROP TABLE modern_notes")
    assert by_command() == (1, False)


def by_command() -> tuple[int, bool]:
    out, code = StringIO(), 0
    try:
        call_command("preflight", "--json", stdout=out, stderr=StringIO())
    except SystemExit as ended:
        code = int(ended.code or 0)
    shown = json.loads(out.getvalue())
    assert set(shown["checks"][0]) == {"id", "status", "message", "hint"}
    return code, shown["ok"]


def test_a_database_that_is_away_is_one_failed_check_and_a_sentence(
    notes: AnyMigration, start_notes_command: Callable[..., Any]
) -> None:
    process = start_notes_command("preflight", "--json", DATABASE_URL="postgres://nobody@127.0.0.1:1/nowhere")
    out, err = process.communicate(timeout=60)
    shown = json.loads(out)
    assert (process.returncode, shown["ok"]) == (1, False)
    assert [(check["id"], check["status"]) for check in shown["checks"]] == [("database", "fail")]
    assert "does not answer" in err
    assert "Traceback" not in err
