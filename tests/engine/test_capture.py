"""Capture on the tiny domain: whoever changes the legacy table, however, the rows are on the dirty list."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError, IntegrityError

from migration_ops.definition import AnyMigration, CapturedTable, Side
from migration_ops.exceptions import UnusableInput
from migration_ops.models import DirtyKey, MigrationState
from migration_ops.sync import capture, origin, triggers
from tests.engine.syncing import noted, noted_once, rows, run, second_connection, superuser_connection
from tests.notes import schema


@pytest.fixture
def in_production(notes: AnyMigration) -> Iterator[None]:
    """This session may not empty tables that are watched, as a test suite otherwise may."""
    run("SET migration_ops.may_truncate = ''")
    yield
    run("SET migration_ops.may_truncate = 'yes'")


@pytest.fixture
def captured(notes: AnyMigration) -> Iterator[AnyMigration]:
    with transaction.atomic():
        capture.install(notes)
    MigrationState.objects.create(name=notes.name, capture_lost=capture.lost_total())
    yield notes
    with transaction.atomic():
        capture.remove(notes)


def test_an_insert_an_update_and_a_delete_are_noted_with_their_rows(captured: AnyMigration) -> None:
    first, second = schema.add_rows(("a", "t", "x"), ("a", "u", "y"))
    assert noted_once() == [str(first), str(second)]
    run("UPDATE legacy_notes SET body = 'z' WHERE id = %s", first)
    assert noted_once() == [str(first)]
    run("DELETE FROM legacy_notes WHERE id = %s", second)
    assert noted_once() == [str(second)]


def test_a_statement_of_many_rows_notes_each_once(captured: AnyMigration) -> None:
    run("INSERT INTO legacy_notes (id, notebook, title, body) SELECT n, 'a', 't' || n, '' FROM generate_series(1, 9) n")
    assert noted() == [str(n) for n in range(1, 10)]
    DirtyKey.objects.all().delete()
    run("UPDATE legacy_notes SET body = 'x' WHERE id <= 3")
    assert sorted(noted()) == ["1", "2", "3"]


def test_an_update_of_the_id_notes_the_old_and_the_new_one(captured: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    noted_once()
    run("UPDATE legacy_notes SET id = 900 WHERE id = %s", row)
    assert noted_once() == [str(row), "900"]


def test_a_statement_that_touches_no_row_notes_nothing(captured: AnyMigration) -> None:
    run("UPDATE legacy_notes SET body = 'x' WHERE false")
    run("DELETE FROM legacy_notes WHERE false")
    assert noted() == []


def test_a_row_changed_twice_in_one_transaction_is_noted(captured: AnyMigration) -> None:
    with transaction.atomic():
        (row,) = schema.add_rows(("a", "t", "x"))
        run("UPDATE legacy_notes SET body = 'y' WHERE id = %s", row)
        run("UPDATE legacy_notes SET body = 'z' WHERE id = %s", row)
    assert noted() == [str(row)] * 3


def test_copy_upsert_merge_and_writable_ctes_are_noted(captured: AnyMigration) -> None:
    with connection.cursor() as cursor, cursor.copy("COPY legacy_notes (id, notebook, title, body) FROM STDIN") as copy:
        copy.write("1\ta\tt\tx\n2\ta\tu\ty\n")
    assert noted_once() == ["1", "2"]
    run(
        "INSERT INTO legacy_notes (id, notebook, title, body) VALUES (2, 'a', 'u', 'z'), (3, 'a', 'v', 'z')"
        " ON CONFLICT (id) DO UPDATE SET body = excluded.body"
    )
    assert noted_once() == ["2", "3"]
    run(
        "WITH gone AS (DELETE FROM legacy_notes WHERE id = 1 RETURNING *)"
        " INSERT INTO legacy_notes (id, notebook, title, body) SELECT 11, notebook, title, body FROM gone"
    )
    assert noted_once() == ["1", "11"]
    run(
        "MERGE INTO legacy_notes AS kept USING (VALUES (2), (3), (4)) AS said (id) ON kept.id = said.id"
        " WHEN MATCHED AND said.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET body = 'm'"
        " WHEN NOT MATCHED THEN INSERT (id, notebook, title, body) VALUES (said.id, 'a', 'w', '')"
    )
    assert noted_once() == ["2", "3", "4"]


def test_a_rollback_leaves_nothing(captured: AnyMigration) -> None:
    with transaction.atomic():
        schema.add_rows(("a", "t", "x"))
        transaction.set_rollback(True)
    assert noted() == []


def test_a_transaction_that_announced_itself_is_not_noted_and_the_next_one_is(captured: AnyMigration) -> None:
    with transaction.atomic():
        origin.announce()
        schema.add_rows(("a", "t", "x"))
    assert noted() == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true)", [origin.SETTING])
        assert cursor.fetchone() == ("",)
    (row,) = schema.add_rows(("a", "t", "x"))
    assert noted() == [str(row)]


def test_without_capture_nothing_is_noted(notes: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    assert noted() == []


def test_installing_twice_changes_nothing_and_removing_leaves_nothing(captured: AnyMigration) -> None:
    objects = (
        "SELECT count(*) FROM (SELECT oid FROM pg_proc WHERE proname LIKE 'capture%notes%'"
        " UNION ALL SELECT oid FROM pg_trigger WHERE tgname LIKE 'capture%notes%') AS made"
    )
    assert capture.install(captured) is False
    with connection.cursor() as cursor:
        cursor.execute(objects)
        assert cursor.fetchone() == (6,)
        capture.remove(captured)
        capture.remove(captured)
        cursor.execute(objects)
        assert cursor.fetchone() == (0,)
    assert not capture.status(captured).intact


def test_truncate_is_refused_with_a_sentence(captured: AnyMigration, in_production: None) -> None:
    schema.add_rows(("a", "t", "x"))
    with pytest.raises(IntegrityError, match=r"TRUNCATE of public\.legacy_notes is refused"):
        run("TRUNCATE legacy_notes")
    with transaction.atomic():
        origin.announce()
        with pytest.raises(IntegrityError), transaction.atomic():
            run("TRUNCATE legacy_notes")


def test_a_capture_that_fails_neither_fails_the_statement_nor_stays_hidden(captured: AnyMigration) -> None:
    before = capture.lost_total()
    run("ALTER TABLE migration_ops_dirtykey ADD CONSTRAINT nothing_goes_in CHECK (false) NOT VALID")
    try:
        (row,) = schema.add_rows(("a", "t", "x"))
        with transaction.atomic():
            run("UPDATE legacy_notes SET body = 'y' WHERE id = %s", row)
            transaction.set_rollback(True)
    finally:
        run("ALTER TABLE migration_ops_dirtykey DROP CONSTRAINT nothing_goes_in")
    assert run("SELECT 1 FROM legacy_notes WHERE id = %s AND body = 'x'", row) == 1
    assert capture.lost_total() == before + 2
    status = capture.status(captured)
    assert (status.lost, status.intact) == (2, False)
    assert "2 statements could not be captured" in status.message
    capture.confirm_whole(captured, capture.lost_total())
    assert capture.status(captured).intact


def test_even_with_the_dirty_list_and_the_counter_gone_the_statement_succeeds(captured: AnyMigration) -> None:
    with transaction.atomic():
        run("ALTER TABLE migration_ops_dirtykey RENAME TO elsewhere")
        run("ALTER SEQUENCE migration_ops_capture_lost RENAME TO elsewhere_too")
        (row,) = schema.add_rows(("a", "t", "x"))
        assert run("SELECT 1 FROM legacy_notes WHERE id = %s", row) == 1
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TRIGGER {} ON legacy_notes",
        "ALTER TABLE legacy_notes DISABLE TRIGGER {}",
        "ALTER TABLE legacy_notes ENABLE TRIGGER {}",
    ],
)
def test_a_trigger_that_is_gone_or_weaker_is_a_gap_and_install_mends_it(captured: AnyMigration, damage: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'capture_update%'")
        ((name,),) = cursor.fetchall()
    run(damage.format(name))
    status = capture.status(captured)
    assert status.gaps == ("UPDATE on public.legacy_notes is not watched.",)
    assert not status.intact
    assert capture.install(captured) is True
    assert capture.status(captured).intact
    (row,) = schema.add_rows(("a", "t", "x"))
    noted_once()
    run("UPDATE legacy_notes SET body = 'y' WHERE id = %s", row)
    assert noted() == [str(row)]


def test_a_function_somebody_rewrote_is_a_gap(captured: AnyMigration) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'capture_change_notes%'")
        ((name,),) = cursor.fetchall()
    run(f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    assert len(capture.status(captured).gaps) == 3


def test_a_table_that_does_not_exist_is_named(notes: AnyMigration) -> None:
    schema.drop_tables()
    with pytest.raises(UnusableInput, match="no table legacy_notes"):
        capture.install(notes)
    capture.remove(notes)


def test_a_replication_writer_is_noted(captured: AnyMigration) -> None:
    with superuser_connection() as replication:
        replication.execute("SET session_replication_role = replica")
        replication.execute("INSERT INTO legacy_notes (id, notebook, title, body) VALUES (7, 'a', 't', 'x')")
    assert noted() == ["7"]


def test_every_trigger_fires_always(captured: AnyMigration) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgname LIKE 'capture%notes%'")
        assert cursor.fetchall() == [("A",)]


def test_an_old_client_without_any_right_on_the_engine_s_tables_is_noted(captured: AnyMigration) -> None:
    with superuser_connection() as other:
        other.execute("CREATE ROLE old_client_of_the_test")
        try:
            other.execute("GRANT SELECT, INSERT, UPDATE ON legacy_notes TO old_client_of_the_test")
            other.execute("SET ROLE old_client_of_the_test")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                other.execute("SELECT * FROM migration_ops_dirtykey")
            other.execute("INSERT INTO legacy_notes (id, notebook, title, body) VALUES (7, 'a', 't', 'x')")
        finally:
            other.execute("RESET ROLE")
            other.execute("DROP OWNED BY old_client_of_the_test")
            other.execute("DROP ROLE old_client_of_the_test")
    assert noted() == ["7"]


def test_a_search_path_with_traps_in_it_does_not_lead_capture_astray(captured: AnyMigration) -> None:
    with transaction.atomic():
        run("CREATE SCHEMA trap")
        run("CREATE TABLE trap.migration_ops_dirtykey (LIKE public.migration_ops_dirtykey)")
        run("SET LOCAL search_path = trap, public")
        (row,) = schema.add_rows(("a", "t", "x"))
        assert run("SELECT 1 FROM public.migration_ops_dirtykey WHERE row = %s", str(row)) == 1
        transaction.set_rollback(True)


def test_partitions_and_children_are_watched_whichever_way_they_are_written(
    notes: AnyMigration, in_production: None
) -> None:
    run("DROP TABLE legacy_notes")
    run(
        "CREATE TABLE legacy_notes (id bigint, notebook text, title text, body text) PARTITION BY LIST (notebook);"
        "CREATE TABLE legacy_notes_a PARTITION OF legacy_notes FOR VALUES IN ('a');"
        "CREATE TABLE legacy_notes_b PARTITION OF legacy_notes DEFAULT"
    )
    capture.install(notes)
    try:
        run("INSERT INTO legacy_notes VALUES (1, 'a', 't', ''), (2, 'b', 't', '')")
        assert noted_once() == ["1", "2"]
        run("INSERT INTO legacy_notes_a VALUES (3, 'a', 't', '')")
        assert noted_once() == ["3"]
        run("UPDATE legacy_notes SET notebook = 'c' WHERE id = 1")
        assert noted_once() == ["1"]
        run("DELETE FROM legacy_notes_b WHERE id = 1")
        assert noted_once() == ["1"]
        with pytest.raises(IntegrityError):
            run("TRUNCATE legacy_notes_a")
        run("CREATE TABLE legacy_notes_c PARTITION OF legacy_notes FOR VALUES IN ('z')")
        assert len(capture.status(notes).gaps) == 4
        assert capture.install(notes) is True
        assert capture.status(notes).gaps == ()
    finally:
        capture.remove(notes)


def test_children_by_inheritance_are_watched_too(captured: AnyMigration) -> None:
    run("CREATE TABLE legacy_notes_child () INHERITS (legacy_notes)")
    try:
        capture.install(captured)
        run("INSERT INTO legacy_notes_child (id, notebook, title, body) VALUES (5, 'a', 't', '')")
        assert noted_once() == ["5"]
        run("UPDATE legacy_notes SET body = 'x' WHERE id = 5")
        assert noted_once() == ["5"]
    finally:
        run("DROP TABLE legacy_notes_child")


def test_the_applier_is_called_once_a_transaction_with_the_migration_s_name(captured: AnyMigration) -> None:
    with second_connection() as listener:
        listener.autocommit = True
        listener.execute("LISTEN migration_ops_dirty")
        with transaction.atomic():
            schema.add_rows(("a", "t", "x"), ("a", "u", "y"))
        run("UPDATE legacy_notes SET body = 'x' WHERE false")
        payloads = [call.payload for call in listener.notifies(timeout=5, stop_after=1)]
        payloads += [call.payload for call in listener.notifies(timeout=0)]
    assert payloads == ["notes"]


def test_capture_begins_only_after_writers_who_began_before_it(notes: AnyMigration) -> None:
    with second_connection() as writer:
        writer.execute("INSERT INTO legacy_notes (notebook, title, body) VALUES ('a', 't', 'x')")
        with transaction.atomic():
            run("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(DatabaseError, match="lock timeout"), transaction.atomic():
                capture.install(notes)
        writer.rollback()
    assert len(capture.status(notes).gaps) == 4


def test_names_of_objects_stay_within_63_bytes_and_apart(notes: AnyMigration) -> None:
    long = "표" * 20
    run(f'CREATE TABLE "{long}" (id bigint)')
    run(f'CREATE TABLE "{long}2" (id bigint)')
    try:
        watches = [triggers.Watch(notes, CapturedTable(f"{long}{end}"), Side.LEGACY, "public") for end in ("", "2")]
        for watch in watches:
            assert watch.install() is True
            assert watch.install() is False
        names = {watch.name(event) for watch in watches for event in ("insert", "update", "delete", "truncate")}
        assert len(names) == 8
        assert max(len(name.encode()) for name in names) <= 63
        run(f'INSERT INTO "{long}2" VALUES (7)')
        assert noted() == ["7"]
    finally:
        for watch in watches:
            watch.remove()
        run(f'DROP TABLE "{long}", "{long}2"')


def test_a_cancelled_statement_is_still_cancelled_inside_capture(captured: AnyMigration) -> None:
    with second_connection() as blocker:
        blocker.execute("LOCK TABLE migration_ops_dirtykey IN ACCESS EXCLUSIVE MODE")
        with transaction.atomic():
            run("SET LOCAL statement_timeout = '100ms'")
            with pytest.raises(DatabaseError, match="statement timeout"), transaction.atomic():
                schema.add_rows(("a", "t", "x"))


@pytest.fixture
def made_by_an_earlier_version(captured: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> AnyMigration:
    """Watched by other functions than this version's, which notice everything as well."""
    capture.remove(captured)
    with monkeypatch.context() as earlier:
        earlier.setattr(triggers, "_BODY", f"-- as it was once\n{triggers._BODY}")
        with transaction.atomic():
            capture.install(captured)
    assert not capture.status(captured).intact
    return captured


def test_an_upgrade_renews_what_an_earlier_version_made(made_by_an_earlier_version: AnyMigration) -> None:
    """Otherwise a gate closes in the middle of a migration, and the only way on is all the way back."""
    with second_connection() as user:
        user.execute("INSERT INTO legacy_notes (id, notebook, title, body) VALUES (7, 'a', 't', 'x')")
        call_command("migrate", verbosity=0)  # while somebody writes
        user.commit()
    assert capture.status(made_by_an_earlier_version).intact
    schema.add_rows(("b", "t", "x"))
    assert len(noted()) == 2


def test_an_upgrade_leaves_a_function_that_somebody_changed_for_a_person_to_see(captured: AnyMigration) -> None:
    ((name,),) = rows("SELECT proname FROM pg_proc WHERE proname LIKE 'capture_change_notes%'")
    run(f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    capture.after_migrate(using="default")
    assert not capture.status(captured).intact
