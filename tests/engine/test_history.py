"""The history: appended to and never changed, and whoever changes it all the same is found out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from migration_ops import guards, history
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import BeforeImage, HistoryEntry, HistoryHead, MigrationState
from tests.engine.syncing import run, second_connection
from tests.engine.waiting import InThread, eventually

TABLES = ("migration_ops_historyentry", "migration_ops_historyhead", "migration_ops_migrationstate")


@pytest.fixture
def unguarded() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """What only the owner of the tables can do: work on them with the triggers off."""

    @contextmanager
    def tamper() -> Iterator[None]:
        for table in TABLES:
            run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        guards.install()

    yield tamper
    guards.install()


def write(migration: AnyMigration, count: int = 5) -> None:
    for number in range(1, count + 1):
        history.append(migration, actor="ann", verb="note", reason=f"number {number}", evidence={"n": [number, 1.5]})


def test_entries_are_numbered_without_gaps_and_chained(notes: AnyMigration) -> None:
    write(notes)
    found = list(HistoryEntry.objects.order_by("id"))
    assert [entry.pk for entry in found] == [1, 2, 3, 4, 5]
    assert [entry.previous_hash for entry in found] == ["", *(entry.hash for entry in found[:-1])]
    verified = history.verify()
    assert (verified.entries, verified.ok, verified.first_broken) == (5, True, None)
    assert verified.head == found[-1].hash


def test_an_empty_history_is_whole(notes: AnyMigration) -> None:
    assert history.verify() == history.Verification(0, True, None, "All 0 entries are as they were written.", "")


def test_an_entry_that_is_rolled_back_leaves_no_gap(notes: AnyMigration) -> None:
    write(notes, 1)
    with transaction.atomic():
        write(notes, 3)
        transaction.set_rollback(True)
    write(notes, 1)
    assert list(HistoryEntry.objects.values_list("pk", flat=True)) == [1, 2]
    assert history.verify().ok


def test_two_who_write_at_once_make_one_chain(notes: AnyMigration) -> None:
    writers = [InThread(lambda: write(notes, 20)) for _ in range(2)]
    for writer in writers:
        writer.outcome()
    assert (history.verify().entries, history.verify().ok) == (40, True)


def test_an_entry_waits_for_the_one_that_is_not_committed_yet(notes: AnyMigration) -> None:
    with second_connection() as other:
        other.execute(
            "INSERT INTO migration_ops_historyentry (migration, at, actor, verb, from_stage, to_stage, reason,"
            " evidence, previous_hash, hash) VALUES ('notes', now(), 'sql', 'note', '', '', '', '{}', 'mine', 'mine')"
        )
        mine = InThread(lambda: write(notes, 1))
        with second_connection() as observer:
            observer.autocommit = True
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"
            eventually(lambda: observer.execute(waiting, [other.info.backend_pid]).fetchone() is not None)
    mine.outcome()
    assert list(HistoryEntry.objects.order_by("id").values_list("actor", flat=True)) == ["sql", "ann"]
    assert history.verify().ok


def test_numbers_and_hashes_that_a_writer_brings_are_not_believed(notes: AnyMigration) -> None:
    run(
        "INSERT INTO migration_ops_historyentry (id, migration, at, actor, verb, from_stage, to_stage, reason,"
        " evidence, previous_hash, hash) VALUES (77, 'notes', now(), 'sql', 'note', '', '', '', '{}', 'mine', 'mine')"
    )
    assert list(HistoryEntry.objects.values_list("pk", flat=True)) == [1]
    assert history.verify().ok


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE migration_ops_historyentry SET reason = 'another'",
        "DELETE FROM migration_ops_historyentry",
        "UPDATE migration_ops_historyhead SET entries = 0",
        "DELETE FROM migration_ops_historyhead",
        "UPDATE migration_ops_beforeimage SET actor = 'another'",
        "DELETE FROM migration_ops_beforeimage",
    ],
)
def test_what_was_written_for_good_cannot_be_changed(notes: AnyMigration, sql: str) -> None:
    write(notes, 1)
    run(
        "INSERT INTO migration_ops_beforeimage (migration, side, key, cause, actor, at)"
        " VALUES ('notes', 'modern', 'k', 'repair', 'ann', now())"
    )
    with pytest.raises(IntegrityError, match="is refused"):
        run(sql)
    assert (HistoryEntry.objects.count(), HistoryHead.objects.count(), BeforeImage.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize("table", ["migration_ops_historyentry", "migration_ops_historyhead"])
def test_truncate_is_refused_unless_there_is_nothing_to_lose(notes: AnyMigration, table: str) -> None:
    with transaction.atomic():
        run("SET LOCAL migration_ops.may_truncate = ''")
        run(f"TRUNCATE {table}")
        write(notes, 1)
        with pytest.raises(IntegrityError, match="TRUNCATE is refused"), transaction.atomic():
            run(f"TRUNCATE {table}")


def test_the_guards_are_noticed_when_they_are_off_and_put_back_by_migrate(notes: AnyMigration) -> None:
    assert guards.out_of_step() == []
    run("ALTER TABLE migration_ops_historyentry ENABLE TRIGGER migration_ops_history_append_only")
    run("DROP TRIGGER migration_ops_state_guard ON migration_ops_migrationstate")
    run(
        "CREATE OR REPLACE FUNCTION migration_ops_history_chain() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'"
    )
    off = ["migration_ops_history_append_only", "migration_ops_history_chain", "migration_ops_state_guard"]
    assert sorted(guards.out_of_step()) == off
    call_command("migrate", verbosity=0)
    assert guards.out_of_step() == []
    assert guards.install() == []


@pytest.mark.parametrize(
    ("sql", "first_broken"),
    [
        ("UPDATE migration_ops_historyentry SET reason = 'another' WHERE id = 3", 3),
        ("UPDATE migration_ops_historyentry SET actor = 'another' WHERE id = 1", 1),
        ("UPDATE migration_ops_historyentry SET evidence = '{\"n\": [5, 1.6]}' WHERE id = 5", 5),
        ("UPDATE migration_ops_historyentry SET at = at + interval '1 microsecond' WHERE id = 2", 2),
        ("UPDATE migration_ops_historyentry SET migration = 'other' WHERE id = 2", 2),
        ("UPDATE migration_ops_historyentry SET verb = 'other' WHERE id = 2", 2),
        ("UPDATE migration_ops_historyentry SET from_stage = 'off' WHERE id = 4", 4),
        ("UPDATE migration_ops_historyentry SET to_stage = 'off' WHERE id = 4", 4),
        ("UPDATE migration_ops_historyentry SET hash = repeat('0', 64) WHERE id = 4", 4),
        ("DELETE FROM migration_ops_historyentry WHERE id = 1", 1),
        ("DELETE FROM migration_ops_historyentry WHERE id = 3", 3),
        ("DELETE FROM migration_ops_historyentry WHERE id = 5", 5),
        ("DELETE FROM migration_ops_historyentry WHERE id > 2", 3),
        ("DELETE FROM migration_ops_historyentry", 1),
        ("DELETE FROM migration_ops_historyhead", 5),
        (
            "DELETE FROM migration_ops_historyentry WHERE id = 3;"
            " UPDATE migration_ops_historyentry SET id = id - 1 WHERE id > 3",
            3,
        ),
        (
            "INSERT INTO migration_ops_historyentry SELECT 6, migration, at, 'eve', verb, from_stage, to_stage, reason,"
            " evidence, hash, repeat('0', 64) FROM migration_ops_historyentry WHERE id = 5",
            6,
        ),
        (
            "UPDATE migration_ops_historyentry SET id = 9 WHERE id = 3;"
            "UPDATE migration_ops_historyentry SET id = 3 WHERE id = 4;"
            "UPDATE migration_ops_historyentry SET id = 4 WHERE id = 9",
            3,
        ),
    ],
)
def test_what_was_done_with_the_triggers_off_is_found(
    notes: AnyMigration, unguarded: Callable[[], AbstractContextManager[None]], sql: str, first_broken: int
) -> None:
    write(notes)
    with unguarded():
        run(sql)
    found = history.verify()
    assert (found.ok, found.first_broken) == (False, first_broken)
    assert str(first_broken) in found.message


def test_a_stage_that_the_history_does_not_explain_is_found(
    notes: AnyMigration, unguarded: Callable[[], AbstractContextManager[None]]
) -> None:
    MigrationState.objects.create(name=notes.name)
    with unguarded():
        run("UPDATE migration_ops_migrationstate SET stage = 'live'")
    found = history.verify()
    assert (found.ok, found.first_broken) == (False, 1)
    assert "notes is at live" in found.message


def test_the_command_ends_with_5_when_the_history_is_broken(
    notes: AnyMigration, unguarded: Callable[[], AbstractContextManager[None]]
) -> None:
    write(notes)
    assert verify_by_command() == (0, {"entries": 5, "ok": True, "first_broken": None})
    with unguarded():
        run("UPDATE migration_ops_historyentry SET reason = 'another' WHERE id = 2")
    assert verify_by_command() == (5, {"entries": 5, "ok": False, "first_broken": 2})


def verify_by_command() -> tuple[int, dict[str, Any]]:
    out, code = StringIO(), 0
    try:
        call_command("verify_history", "--json", stdout=out, stderr=StringIO())
    except SystemExit as ended:
        code = int(ended.code or 0)
    shown = json.loads(out.getvalue())
    return code, {key: shown[key] for key in ("entries", "ok", "first_broken")}


@pytest.mark.parametrize("texts", [{"actor": ""}, {"actor": "x" * 201}, {"reason": "a\x00b"}, {"reason": "\udcff"}])
def test_a_text_that_cannot_be_stored_is_refused_with_a_sentence(notes: AnyMigration, texts: dict[str, str]) -> None:
    with pytest.raises(UnusableInput):
        history.append(notes, **{"actor": "ann", "verb": "note", **texts})
    assert not HistoryEntry.objects.exists()
