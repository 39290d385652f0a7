"""Constraints of the modern tables are validated one by one, and the tables can go while nobody uses them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, models
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.functions import Mod

from migration_ops import registry, state
from migration_ops.definition import AnyMigration, ForeignKey
from migration_ops.exceptions import Refused, TableBusy
from migration_ops.models import HistoryEntry, Lineage, QuarantineItem, Run
from migration_ops.schema import lock_safe, shadow
from migration_ops.schema.constraints import constraints, invalid_indexes, validate
from migration_ops.schema.operations import CreateIndexConcurrently, CreateUniqueKeyConcurrently
from migration_ops.stages import Stage
from tests.database import database_url
from tests.engine.waiting import InThread, until_somebody_waits
from tests.notes.migration import notes as notes_migration
from tests.notes.migration import register_alone

TABLES = """
CREATE TABLE shelves (id int PRIMARY KEY);
CREATE TABLE books (id int PRIMARY KEY, shelf_id int, pages int);
INSERT INTO shelves SELECT generate_series(1, 3);
INSERT INTO books SELECT number, 1 + number % 3, 100 FROM generate_series(1, 100) AS number;
ALTER TABLE books ADD CONSTRAINT books_have_pages CHECK (pages > 0) NOT VALID;
ALTER TABLE books ADD CONSTRAINT books_are_liftable CHECK (pages < 10000) NOT VALID;
"""
DROP = "DROP TABLE IF EXISTS books, shelves CASCADE"


@pytest.fixture
def library(transactional_db: None) -> Iterator[AnyMigration]:
    """A migration whose modern tables are shelves of books, with checks that are not validated yet."""
    execute(DROP)
    execute(TABLES)
    migration = replace(
        notes_migration,
        name="library",
        modern_tables=("books", "shelves"),
        foreign_keys=(ForeignKey("books_shelf_id_fkey", "books", "shelf_id", "shelves"),),
    )
    others = register_alone()
    registry.unregister(notes_migration.name)
    registry.register(migration)
    yield migration
    registry.unregister(migration.name)
    for other in others:
        registry.register(other)
    execute(DROP)


def execute(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall()) if cursor.description else []


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """`manage.py shadow_schema … --json`: exit code, the JSON object, stderr."""
    stdout, stderr = StringIO(), StringIO()
    try:
        call_command("shadow_schema", *arguments, "--json", stdout=stdout, stderr=stderr)
        exit_code = 0
    except SystemExit as ended:
        exit_code = int(ended.code or 0)
    return exit_code, json.loads(stdout.getvalue()), stderr.getvalue()


def validated(data: dict[str, Any]) -> dict[str, bool]:
    return {one["name"]: one["validated"] for one in data["constraints"]}


@pytest.mark.usefixtures("library")
def test_status_lists_checks_and_the_foreign_keys_that_ought_to_be_there() -> None:
    exit_code, data, _ = run("status")
    assert exit_code == 0
    assert validated(data) == {
        "books_are_liftable": False,
        "books_have_pages": False,
        "books_shelf_id_fkey": False,
    }
    assert {one["table"] for one in data["constraints"]} == {"books"}


@pytest.mark.usefixtures("library")
def test_validate_adds_the_foreign_keys_and_validates_everything_and_again_does_nothing() -> None:
    exit_code, data, _ = run("validate")
    assert exit_code == 0
    assert all(validated(data).values())
    assert len(validated(data)) == 3
    with pytest.raises(DatabaseError, match="books_shelf_id_fkey"):
        execute("INSERT INTO books VALUES (1000, 99, 1)")
    before = execute("SELECT oid, xmin FROM pg_constraint WHERE conrelid = 'books'::regclass ORDER BY oid")
    assert run("validate")[0] == 0
    assert execute("SELECT oid, xmin FROM pg_constraint WHERE conrelid = 'books'::regclass ORDER BY oid") == before


@pytest.mark.usefixtures("library")
def test_a_dry_run_of_validate_adds_nothing() -> None:
    exit_code, data, _ = run("validate", "--dry-run")
    assert exit_code == 0
    assert not any(validated(data).values())
    assert not execute("SELECT 1 FROM pg_constraint WHERE conname = 'books_shelf_id_fkey'")


@pytest.mark.usefixtures("library")
def test_a_violated_constraint_is_named_with_an_example_and_the_others_are_validated() -> None:
    execute("UPDATE books SET shelf_id = 77 WHERE id = 42")
    execute("ALTER TABLE books DROP CONSTRAINT books_have_pages")
    execute("UPDATE books SET pages = -5 WHERE id = 43")
    execute("ALTER TABLE books ADD CONSTRAINT books_have_pages CHECK (pages > 0) NOT VALID")
    exit_code, data, errors = run("validate")
    assert exit_code == 1
    assert validated(data) == {
        "books_are_liftable": True,
        "books_have_pages": False,
        "books_shelf_id_fkey": False,
    }
    problems = {one["name"]: one["problem"] for one in data["constraints"]}
    assert '"id": 43' in problems["books_have_pages"]
    assert '"shelf_id": 77' in problems["books_shelf_id_fkey"]
    assert problems["books_are_liftable"] == ""
    assert "books_have_pages on books is not validated" in errors
    execute("UPDATE books SET shelf_id = 1, pages = 1")
    assert run("validate")[0] == 0


@pytest.mark.usefixtures("library")
def test_what_stands_in_a_row_gives_the_terminal_no_orders() -> None:
    execute("ALTER TABLE books ADD COLUMN title text")
    execute("UPDATE books SET shelf_id = 77, title = %s WHERE id = 42", "a \x9b2J book")
    errors = run("validate")[2]
    assert ("a \ufffd2J book" in errors, "\x9b" in errors) == (True, False)


def test_a_table_in_use_is_reported_with_its_user_and_nobody_waits_behind_for_long(library: AnyMigration) -> None:
    with closing(psycopg.connect(database_url(), application_name="long reader")) as reader:
        reader.execute("LOCK TABLE books IN ROW EXCLUSIVE MODE")
        with pytest.raises(TableBusy, match=rf"pid {reader.info.backend_pid} \('long reader'"):
            lock_safe.with_short_locks(
                lambda: execute("ALTER TABLE books ADD COLUMN author text"),
                tables=["books"],
                lock_timeout=timedelta(milliseconds=50),
                patience=timedelta(milliseconds=300),
            )
    assert not execute("SELECT 1 FROM pg_attribute WHERE attrelid = 'books'::regclass AND attname = 'author'")


def test_a_step_gets_through_as_soon_as_the_table_is_free(library: AnyMigration) -> None:
    with closing(psycopg.connect(database_url())) as reader:
        reader.execute("LOCK TABLE books IN ROW EXCLUSIVE MODE")
        tries = iter(range(1_000))

        def step() -> None:
            if next(tries) == 2:
                reader.rollback()
            execute("ALTER TABLE books ADD COLUMN author text")

        lock_safe.with_short_locks(step, tables=["books"], lock_timeout=timedelta(milliseconds=20))
    assert next(tries) >= 3
    assert execute("SELECT 1 FROM pg_attribute WHERE attrelid = 'books'::regclass AND attname = 'author'")


@pytest.mark.parametrize("limit", [timedelta(0) - timedelta(seconds=1), timedelta(seconds=1)])
def test_a_lock_timeout_that_users_would_notice_is_refused(library: AnyMigration, limit: timedelta) -> None:
    with pytest.raises(ValueError, match="lock_timeout"):
        lock_safe.with_short_locks(lambda: None, tables=["books"], lock_timeout=limit)


def test_other_errors_are_not_tried_again(library: AnyMigration) -> None:
    tries: list[int] = []

    def step() -> None:
        tries.append(1)
        execute("SELECT 1 / 0")

    with pytest.raises(DatabaseError, match="division by zero"):
        lock_safe.with_short_locks(step, tables=["books"])
    assert tries == [1]


def test_drop_takes_the_tables_and_what_was_known_of_their_rows_and_writes_history(library: AnyMigration) -> None:
    Lineage.objects.create(migration="library", row="1", key="k")
    Lineage.objects.create(migration="elsewhere", row="1", key="k")
    exit_code, data, _ = run("drop", "--dry-run")
    assert (exit_code, data["tables"], data["dry_run"]) == (0, ["books", "shelves"], True)
    assert execute("SELECT count(*) FROM books") == [(100,)]

    exit_code, data, _ = run("drop", "--actor", "kim", "--reason", "again from the start")
    assert (exit_code, data["tables"]) == (0, ["books", "shelves"])
    assert execute("SELECT to_regclass('books'), to_regclass('shelves')") == [(None, None)]
    assert list(Lineage.objects.values_list("migration", flat=True)) == ["elsewhere"]
    entry = HistoryEntry.objects.get(migration="library")
    assert (entry.actor, entry.verb, entry.reason) == ("kim", "shadow_schema drop", "again from the start")
    assert entry.evidence["tables"] == ["books", "shelves"]

    exit_code, data, _ = run("drop")
    assert (exit_code, data["tables"]) == (0, [])
    assert HistoryEntry.objects.filter(migration="library").count() == 1


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.OFF])
def test_drop_is_refused_once_the_tables_are_in_use(
    library: AnyMigration, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    monkeypatch.setattr(state, "stage", lambda migration: stage)
    exit_code, data, errors = run("drop")
    assert exit_code == 4
    assert stage.value in data["error"]
    assert data["error"] in errors
    assert execute("SELECT count(*) FROM books") == [(100,)]


def test_drop_is_refused_while_something_depends_on_a_table(library: AnyMigration) -> None:
    Lineage.objects.create(migration="library", row="1", key="k")
    execute("CREATE VIEW full_shelves AS SELECT DISTINCT id FROM shelves")
    with pytest.raises(Refused, match="full_shelves"):
        shadow.drop(library, actor="kim")
    assert execute("SELECT count(*) FROM books") == [(100,)]
    assert Lineage.objects.filter(migration="library").exists()


def test_drop_waits_for_nobody_and_names_who_uses_the_table(library: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SCHEMA_LOCK_PATIENCE": timedelta(milliseconds=200)}
    with closing(psycopg.connect(database_url(), application_name="long reader")) as reader:
        reader.execute("SELECT count(*) FROM books")
        exit_code, data, _ = run("drop")
    assert exit_code == 4
    assert "long reader" in data["error"]


def test_runs_and_quarantine_go_with_the_tables(library: AnyMigration) -> None:
    now = execute("SELECT now()")[0][0]
    Run.objects.create(migration="library", kind="backfill", status="succeeded", started_at=now)
    QuarantineItem.objects.create(migration="library", row="1", code="title_missing", message="", found_at=now)
    dropped = shadow.drop(library, actor="kim")
    assert dropped.forgotten[Run._meta.db_table] == 1
    assert not Run.objects.filter(migration="library").exists()
    assert not QuarantineItem.objects.filter(migration="library").exists()


def test_migrate_makes_dropped_tables_anew(transactional_db: None) -> None:
    boards = registry.get("boards")
    try:
        dropped = shadow.drop(boards, actor="kim")
        assert dropped.tables == boards.modern_tables
        recorded = MigrationRecorder(connection).applied_migrations()
        assert not set(boards.schema_migrations) & set(recorded)
    finally:
        call_command("migrate", verbosity=0)
    assert all(execute("SELECT to_regclass(%s)", table)[0][0] for table in boards.modern_tables)
    assert not any(one.validated for one in constraints(boards))
    assert invalid_indexes(boards) == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_rows_that_exist_nowhere_else_keep_the_tables(library: AnyMigration, dry_run: bool) -> None:
    precious = replace(library, irreplaceable_tables=("books",))
    with pytest.raises(Refused, match="books has 100 rows"):
        shadow.drop(precious, actor="kim", dry_run=dry_run)
    assert execute("SELECT count(*) FROM books") == [(100,)]
    execute("DELETE FROM books")
    assert shadow.drop(precious, actor="kim", dry_run=dry_run).tables == ("books", "shelves")
    if not dry_run:
        assert shadow.drop(precious, actor="kim").tables == ()


def test_a_row_that_comes_while_the_tables_are_to_go_is_not_lost(library: AnyMigration) -> None:
    precious = replace(library, irreplaceable_tables=("books",))
    execute("DELETE FROM books")
    with closing(psycopg.connect(database_url())) as writer:
        writer.execute("INSERT INTO books VALUES (1, 1, 1)")
        outcome = InThread(lambda: shadow.drop(precious, actor="kim"))
        until_somebody_waits()
        writer.commit()
    with pytest.raises(Refused, match="books has 1 rows"):
        outcome.outcome()


def test_a_later_schema_migration_that_builds_on_the_tables_keeps_them(library: AnyMigration) -> None:
    built_upon = replace(library, schema_migrations=(("habits", "0002_modern_tables"),))
    with pytest.raises(Refused, match=r"habits\.0003_modern_indexes"):
        shadow.drop(built_upon, actor="kim")
    assert execute("SELECT count(*) FROM books") == [(100,)]


@pytest.fixture
def create_index(library: AnyMigration) -> CreateIndexConcurrently:
    return CreateIndexConcurrently("book", models.Index(fields=["pages"], name="books_by_pages"))


def apply(operation: CreateIndexConcurrently | CreateUniqueKeyConcurrently) -> None:
    """Apply the operation to a state in which `books` is a model."""
    fields = [("id", models.IntegerField(primary_key=True)), ("pages", models.IntegerField())]
    before = ProjectState()
    before.add_model(ModelState("library", "Book", fields, {"db_table": "books"}))
    after = before.clone()
    operation.state_forwards("library", after)
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("library", editor, before, after)


def index_oid() -> int | None:
    return execute("SELECT to_regclass('books_by_pages')::oid")[0][0]


def test_an_index_that_is_there_already_is_kept(create_index: CreateIndexConcurrently) -> None:
    apply(create_index)
    first = index_oid()
    assert first
    apply(create_index)
    assert index_oid() == first


def test_an_invalid_leftover_is_reported_and_built_anew(
    library: AnyMigration, create_index: CreateIndexConcurrently
) -> None:
    with closing(psycopg.connect(database_url())) as reader:
        reader.execute("INSERT INTO books VALUES (500, 1, 1)")
        with closing(psycopg.connect(database_url(), autocommit=True)) as builder:
            builder.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                builder.execute("CREATE INDEX CONCURRENTLY books_by_pages ON books (pages)")
    assert invalid_indexes(library) == ["books_by_pages"]
    assert run("status")[1]["invalid_indexes"] == ["books_by_pages"]
    apply(create_index)
    assert invalid_indexes(library) == []
    assert index_oid()


def test_a_unique_key_of_expressions_is_built_anew_after_a_failure_and_kept_once_it_is_there(
    library: AnyMigration,
) -> None:
    key = models.UniqueConstraint(Mod("pages", 7), condition=models.Q(id__gte=500), name="books_by_pages")
    create_key = CreateUniqueKeyConcurrently("book", key)
    execute("INSERT INTO books VALUES (500, 1, 1), (501, 1, 8)")
    with pytest.raises(IntegrityError):
        apply(create_key)
    assert invalid_indexes(library) == ["books_by_pages"]
    execute("DELETE FROM books WHERE id = 501")
    apply(create_key)
    assert invalid_indexes(library) == []
    first = index_oid()
    assert first
    apply(create_key)
    assert index_oid() == first
    with pytest.raises(IntegrityError):
        execute("INSERT INTO books VALUES (502, 1, 15)")


def test_two_validations_at_once_both_end_well(library: AnyMigration) -> None:
    results: list[Any] = []

    def work() -> None:
        try:
            results.append([one.problem for one in validate(library)])
        except Exception as error:  # noqa: BLE001 - shown by the test's own thread
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [["", "", ""], ["", "", ""]]
    assert all(one.validated for one in constraints(library))


def test_every_modern_table_is_a_model() -> None:
    tables = {model._meta.db_table for model in apps.get_models()}
    assert set(registry.get("boards").modern_tables) <= tables
