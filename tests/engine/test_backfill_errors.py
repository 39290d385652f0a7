"""Real errors of a real database, in the middle of a backfill."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connections

from migration_ops.backfill import batch
from migration_ops.definition import AnyMigration
from migration_ops.models import DirtyKey, MergeRecord, QuarantineItem, Run
from migration_ops.sync import applier
from tests.engine.backfilling import backfill, fill
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, command, rows, run, second_connection
from tests.engine.waiting import eventually, until_somebody_waits
from tests.notes import schema

RAISE = """
CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {condition} THEN RAISE EXCEPTION 'made up for the test' USING ERRCODE = '{state}'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER complain BEFORE INSERT OR UPDATE ON modern_notes FOR EACH ROW EXECUTE FUNCTION complain();
"""


@pytest.fixture
def filled(notes: AnyMigration, settings: LazySettings) -> Iterator[AnyMigration]:
    """A hundred notes from before capture, at stage `dual_write`; delays are short."""
    settings.MIGRATION_OPS = {
        "RETRY_FIRST_DELAY": timedelta(milliseconds=1),
        "RETRY_LONGEST_DELAY": timedelta(milliseconds=20),
        "BATCH_LOCK_TIMEOUT": timedelta(milliseconds=20),
    }
    fill(100)
    begin_dual_write(notes)
    yield notes
    run("DROP FUNCTION IF EXISTS complain() CASCADE; DROP SEQUENCE IF EXISTS complaints")


def complain(state: str, condition: str = "true") -> None:
    run(RAISE.format(condition=condition, state=state))


def calm() -> None:
    run("DROP FUNCTION complain() CASCADE")


def complain_times(state: str, count: int) -> None:
    """Only the first so many times; a sequence keeps count across rollbacks."""
    run("CREATE SEQUENCE complaints")
    complain(state, f"nextval('complaints') <= {count}")


@pytest.mark.parametrize("position", [0, 1, 63, 98, 99])
def test_only_the_one_row_that_breaks_a_constraint_is_set_aside(filled: AnyMigration, position: int) -> None:
    run(f"ALTER TABLE modern_notes ADD CHECK (title <> 'n{position:04}')")
    code, said, error = backfill()
    assert code == 3, error
    assert (said["status"], said["rows_read"], said["notes_written"], said["rows_quarantined"]) == (
        "succeeded",
        100,
        99,
        1,
    )
    (item,) = QuarantineItem.objects.all()
    assert (item.row, item.code, item.status) == (str(first_id() + position), "refused_by_database", "open")
    assert "23514" in item.message
    assert f"n{position:04}" in item.raw
    assert rows("SELECT code FROM migration_ops_lineage WHERE row = %s", item.row) == [("refused_by_database",)]


def first_id() -> int:
    return int(rows("SELECT min(id) FROM legacy_notes")[0][0])


def test_many_refused_rows_are_each_set_aside(filled: AnyMigration) -> None:
    run("ALTER TABLE modern_notes ADD CHECK (right(title, 1) <> '7' AND title NOT BETWEEN 'n0040' AND 'n0055')")
    said = backfill("--workers", "2")[1]
    assert (said["rows_read"], said["notes_written"], said["rows_quarantined"]) == (100, 75, 25)
    assert QuarantineItem.objects.count() == 25


def test_the_rows_merged_into_a_refused_document_are_held_with_it(filled: AnyMigration) -> None:
    low, _, high = schema.add_rows(("home", "bad", "one"), ("home", "good", "x"), ("home", "bad", "two"))
    DirtyKey.objects.all().delete()
    run("ALTER TABLE modern_notes ADD CHECK (title <> 'bad')")
    code, said, _ = backfill("--batch-size", "1")
    assert code == 3
    assert (said["rows_read"], said["notes_written"], said["notes_merged"], said["rows_quarantined"]) == (
        103,
        101,
        0,
        2,
    )
    items = dict(QuarantineItem.objects.values_list("row", "held_by"))
    assert items == {str(high): None, str(low): str(high)}
    assert not MergeRecord.objects.exists()
    assert ("home", "bad", ["two", "one"]) not in schema.modern_rows()


def test_a_refused_row_is_written_once_the_constraint_is_gone(filled: AnyMigration) -> None:
    run("ALTER TABLE modern_notes ADD CONSTRAINT strict CHECK (title <> 'n0050')")
    assert backfill()[0] == 3
    run("ALTER TABLE modern_notes DROP CONSTRAINT strict")
    code, said, _ = backfill()
    assert (code, said["notes_written"], said["notes_unchanged"]) == (0, 1, 99)
    assert QuarantineItem.objects.get().status == "resolved"
    assert_in_step()


def test_a_document_that_is_refused_now_has_no_older_copy_in_modern(filled: AnyMigration) -> None:
    backfill()
    run("SELECT set_config('migration_ops.origin', 'unseen', false)")
    run("UPDATE legacy_notes SET body = 'forbidden' WHERE title = 'n0050'")
    run("SELECT set_config('migration_ops.origin', '', false)")
    run("ALTER TABLE modern_notes ADD CHECK (lines <> '{forbidden}')")
    said = backfill()[1]
    assert (said["notes_unchanged"], said["rows_quarantined"]) == (99, 1)
    assert "n0050" not in [title for _, title, _ in schema.modern_rows()]


@pytest.mark.parametrize("state", ["53100", "53200", "53300"])
def test_a_server_without_room_pauses_the_run_with_the_reason(filled: AnyMigration, state: str) -> None:
    complain(state, "NEW.title = 'n0060'")
    code, said, error = backfill("--batch-size", "10")
    assert code == 1
    assert state in error
    assert "out of resources" in error
    assert (said["status"], said["rows_read"]) == ("paused", 60)
    assert not QuarantineItem.objects.exists()
    calm()
    code, said, _ = backfill("resume")
    assert (code, said["rows_read"], said["notes_written"]) == (0, 100, 100)
    assert_in_step()


@pytest.mark.parametrize("position", [0, 50, 99])
@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_only_the_one_document_that_is_always_in_conflict_is_set_aside(
    filled: AnyMigration, state: str, position: int
) -> None:
    complain(state, f"NEW.title = 'n{position:04}'")
    code, said, error = backfill()
    assert (code, said["notes_written"], said["rows_quarantined"]) == (3, 99, 1), error
    (item,) = QuarantineItem.objects.all()
    assert (item.row, item.status) == (str(first_id() + position), "open")
    assert f"made up for the test ({state})" in item.message
    assert DirtyKey.objects.count() == 0


def test_documents_side_by_side_that_are_always_in_conflict_are_each_set_aside(filled: AnyMigration) -> None:
    complain("40001", "NEW.title BETWEEN 'n0000' AND 'n0002'")
    code, said, error = backfill("--batch-size", "20")
    assert (code, said["notes_written"], said["rows_quarantined"]) == (3, 97, 3), error


def test_a_document_set_aside_for_a_conflict_is_written_by_the_next_backfill_once_there_is_none(
    filled: AnyMigration,
) -> None:
    complain("40001", "NEW.title = 'n0050'")
    assert backfill()[0] == 3
    assert backfill()[0] == 3, "it is the only one that has to be written"
    calm()
    code, said, _ = backfill()
    assert (code, said["notes_written"], said["notes_unchanged"]) == (0, 1, 99)
    assert QuarantineItem.objects.get().status == "resolved"
    assert_in_step()


def test_a_document_set_aside_for_a_conflict_is_written_by_a_retry_once_there_is_none(filled: AnyMigration) -> None:
    complain("40001", "NEW.title = 'n0050'")
    assert backfill()[0] == 3
    code, said = command("quarantine", "retry")
    assert (code, said["open"], said["failed"]) == (1, 1, 1)
    assert "(40001)" in (DirtyKey.objects.get().error or "")
    calm()
    code, said = command("quarantine", "retry")
    assert (code, said["open"], said["failed"], said["remaining"]) == (0, 0, 0, 0)
    assert_in_step()


@pytest.mark.parametrize("batch_size", ["1", "100"])
@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_somebody_who_is_in_the_way_a_dozen_times_puts_nothing_into_quarantine(
    filled: AnyMigration, state: str, batch_size: str
) -> None:
    complain_times(state, 12)
    code, said, error = backfill("--batch-size", batch_size)
    assert (code, said["notes_written"]) == (0, 100), error
    assert not QuarantineItem.objects.exists()


def test_somebody_who_is_in_the_way_of_setting_aside_does_not_end_the_run(filled: AnyMigration) -> None:
    complain("40001", "NEW.title = 'n0050'")
    run("CREATE SEQUENCE complaints")
    run(
        "CREATE FUNCTION complain_too() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('complaints') <= 2 THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '40P01'; END IF;"
        " RETURN NEW; END $$;"
        f"CREATE TRIGGER complain_too BEFORE INSERT ON {QuarantineItem._meta.db_table}"
        " FOR EACH ROW EXECUTE FUNCTION complain_too()"
    )
    try:
        code, said, error = backfill()
    finally:
        run("DROP FUNCTION complain_too() CASCADE")
    assert (code, said["notes_written"], said["rows_quarantined"]) == (3, 99, 1), error
    assert "(40001)" in QuarantineItem.objects.get().message


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_conflict_about_whatever_is_written_ends_the_run_and_no_row_is_blamed(
    filled: AnyMigration, state: str
) -> None:
    complain(state)
    code, said, error = backfill()
    assert (code, said["status"]) == (1, "failed")
    assert state in error
    assert not QuarantineItem.objects.exists()
    calm()
    assert backfill()[1]["status"] == "succeeded"
    assert_in_step()


@pytest.mark.parametrize("table", ["modern_notes", "migration_ops_lineage"])
def test_a_missing_table_fails_at_once_and_no_row_is_blamed(filled: AnyMigration, table: str) -> None:
    run(f"ALTER TABLE {table} RENAME TO away")
    try:
        code, _, error = backfill()
    finally:
        run(f"ALTER TABLE away RENAME TO {table}")
    assert code == 1
    assert "42P01" in error or "does not exist" in error
    assert not QuarantineItem.objects.exists()
    assert backfill()[0] == 0


def test_a_missing_permission_fails_at_once_and_no_row_is_blamed(filled: AnyMigration) -> None:
    complain("42501")
    code, said, error = backfill()
    assert (code, said["status"]) == (1, "failed")
    assert "No row is to blame" in error
    assert not QuarantineItem.objects.exists()


def during(change: Callable[[], Any], condition: Callable[[], Any]) -> threading.Thread:
    """Do this in the background as soon as the condition holds."""

    def work() -> None:
        try:
            eventually(condition)
            change()
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_row_that_somebody_holds_is_waited_for_in_small_batches(filled: AnyMigration) -> None:
    holder = second_connection()
    holder.execute("UPDATE legacy_notes SET body = 'mine' WHERE title = 'n0050'")
    thread = during(holder.commit, lambda: Run.objects.exclude(hold_reason="").exists())
    code, said, error = backfill()
    thread.join()
    holder.close()
    assert code == 0, error
    assert said["notes_written"] == 100
    assert Run.objects.get().hold_reason == ""
    assert_in_step()


def test_a_row_that_stays_locked_pauses_the_run_after_a_bounded_time(filled: AnyMigration) -> None:
    with second_connection() as holder:
        holder.execute("UPDATE legacy_notes SET body = 'mine' WHERE title = 'n0050'")
        code, said, error = backfill("--batch-size", "10")
        holder.rollback()
    assert (code, said["status"]) == (1, "paused")
    assert "others hold what it needs" in error
    assert "55P03" in error
    assert backfill("resume")[1]["rows_read"] == 100


def test_a_statement_that_takes_too_long_makes_smaller_batches(filled: AnyMigration) -> None:
    complain_times("57014", 3)
    code, said, error = backfill("--batch-size", "80")
    assert (code, said["notes_written"]) == (0, 100), error
    assert rows("SELECT batch_size < 80 FROM migration_ops_runrange WHERE number = 1") == [(True,)]
    assert not QuarantineItem.objects.exists()


def test_a_deadlock_with_a_writer_leaves_both_sides_in_step(filled: AnyMigration, monkeypatch: Any) -> None:
    """A second connection takes a modern row, then waits for a legacy row that the batch has locked, which in turn
    waits for the modern row."""
    backfill()
    run("UPDATE legacy_notes SET body = body || '!'")
    DirtyKey.objects.all().delete()
    writer = second_connection()
    writer.execute("UPDATE modern_notes SET lines = lines WHERE title = 'n0000'")
    ordinary, told = batch._read, []

    def read_then_let_the_writer_go_on(*arguments: Any) -> Any:
        page = ordinary(*arguments)
        if not told:
            told.append(threading.Thread(target=cross))
            told[0].start()
            until_somebody_waits()
        return page

    def cross() -> None:
        writer.execute("UPDATE legacy_notes SET body = 'crossed' WHERE title = 'n0000'")
        writer.commit()

    monkeypatch.setattr(batch, "_read", read_then_let_the_writer_go_on)
    code, _, error = backfill()
    told[0].join()
    writer.close()
    assert code == 0, error
    applier.drain(filled)
    assert_in_step()


def test_a_page_that_does_not_add_up_is_never_counted(filled: AnyMigration, monkeypatch: Any) -> None:
    store = type(filled.legacy())
    ordinary = store.scan

    def miscount(self: Any, *arguments: Any, **options: Any) -> Any:
        page = ordinary(self, *arguments, **options)
        page.rows += 1
        return page

    monkeypatch.setattr(store, "scan", miscount)
    code, said, error = backfill()
    assert (code, said["status"], said["rows_read"]) == (1, "failed", 0)
    assert "Nothing was written" in error
    assert schema.modern_rows() == []


def test_a_worker_gives_its_range_back_whatever_happens(filled: AnyMigration) -> None:
    complain("42501")
    backfill()
    assert rows("SELECT count(*) FROM migration_ops_runrange WHERE lease_until IS NOT NULL") == [(0,)]
