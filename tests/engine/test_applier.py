"""The applier on the tiny domain: what changed on one side is on the other, whoever else is at work meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from migration_ops import failpoints, locks, quarantine
from migration_ops.definition import AnyMigration, Batch, Rejection, Saved, Side, Span
from migration_ops.exceptions import Refused
from migration_ops.models import BeforeImage, DirtyKey, Lineage, MergeRecord, QuarantineItem
from migration_ops.rollout import visitor
from migration_ops.rollout.visitor import Visitor
from migration_ops.sync import applier, dirty, origin
from migration_ops.sync.applier import drain, lag_p95
from tests.engine.syncing import begin_dual_write, go_to_ramp, noted, rows, run, second_connection
from tests.engine.waiting import eventually
from tests.notes import schema
from tests.notes.note import Note, NoteKey
from tests.notes.stores import LegacyNotes, ModernNotes

Hook = Callable[[], None]


@pytest.fixture
def synced(notes: AnyMigration) -> AnyMigration:
    begin_dual_write(notes)
    return notes


def test_looking_at_an_empty_list_costs_little(synced: AnyMigration, django_assert_max_num_queries: Any) -> None:
    """The follower looks after every call and every second, and changes wait for it meanwhile."""
    with django_assert_max_num_queries(4):
        assert drain(synced).applied == 0


class Interrupted(LegacyNotes):
    """The legacy store, with something happening right before or after the first time a step of it is made."""

    def __init__(self, step: str, hook: Hook, *, after: bool = False) -> None:
        self._step, self._hook, self._after = step, [hook], after

    def _at(self, step: str, *, after: bool) -> None:
        if (step, after) == (self._step, self._after) and self._hook:
            self._hook.pop()()

    def keys_of(self, wanted: Collection[str]) -> dict[str, NoteKey | None]:
        self._at("keys_of", after=False)
        found = super().keys_of(wanted)
        self._at("keys_of", after=True)
        return found

    def keyless(self, wanted: Collection[str]) -> list[Rejection[NoteKey]]:
        found = super().keyless(wanted)
        self._at("keyless", after=True)
        return found

    def load(self, keys: Collection[NoteKey], *, lock: bool = False) -> Batch[NoteKey, Note]:
        self._at("load", after=False)
        batch = super().load(keys, lock=lock)
        self._at("load", after=True)
        return batch


def interrupted(migration: AnyMigration, step: str, hook: Hook, *, after: bool = False) -> AnyMigration:
    store = Interrupted(step, hook, after=after)
    return replace(migration, legacy=lambda: store)


def somebody_else(sql: str, *parameters: Any) -> Hook:
    def act() -> None:
        with second_connection() as other:
            other.execute(sql, parameters)

    return act


def apply_changes(migration: AnyMigration, *, limit: int | None = None) -> applier.Applied:
    """One batch alone."""
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 1

    return drain(migration, limit=limit, stop=stop)


def everything(store: LegacyNotes | ModernNotes) -> dict[NoteKey, tuple[str, ...]]:
    return {note.key: note.lines for note in store.scan(Span(), 10_000).documents}


def assert_in_step() -> None:
    """Every document is the same on both sides, and the lineage knows exactly the rows there are."""
    assert everything(ModernNotes()) == everything(LegacyNotes())
    known = set(Lineage.objects.values_list("row", flat=True))
    assert known == {str(row) for (row,) in rows("SELECT id FROM legacy_notes")}
    assert DirtyKey.objects.count() == 0


def wait_for_row(sql: str, *parameters: Any) -> None:
    """Until the query gives a row."""
    with second_connection() as watcher:
        watcher.autocommit = True
        eventually(lambda: bool(watcher.execute(sql, parameters).fetchall()))


def in_thread(act: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run it beside this test, with a Django connection of its own; its result or error is the list's only item."""
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(act())
        except Exception as error:
            results.append(error)
            raise
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


def test_inserts_updates_and_deletes_arrive(synced: AnyMigration) -> None:
    first, second = schema.add_rows(("a", "t", "x"), ("b", "u", "y"))
    done = apply_changes(synced)
    assert (done.applied, done.failed, done.remaining) == (2, 0, 0)
    assert len(done.lags) == 2
    assert all(0 < lag < 60_000 for lag in done.lags)
    assert schema.modern_rows() == [("a", "t", ["x"]), ("b", "u", ["y"])]
    run("UPDATE legacy_notes SET body = 'z' WHERE id = %s", first)
    run("DELETE FROM legacy_notes WHERE id = %s", second)
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["z"])]
    assert_in_step()


def test_the_applier_s_own_work_is_not_captured_and_nothing_is_done_twice(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    assert drain(synced).applied == 1
    again = drain(synced)
    assert (again.applied, again.failed, again.remaining, again.lags) == (0, 0, 0, [])


def test_a_batch_takes_no_more_than_its_limit_and_the_oldest_first(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"), ("b", "t", "x"), ("c", "t", "x"))
    assert apply_changes(synced, limit=2).remaining == 1
    assert [row[0] for row in schema.modern_rows()] == ["a", "b"]


def test_a_row_that_moves_mends_both_documents(synced: AnyMigration) -> None:
    first, second = schema.add_rows(("a", "t", "x"), ("a", "t", "y"))
    drain(synced)
    assert MergeRecord.objects.get().rows == [str(second), str(first)]
    run("UPDATE legacy_notes SET title = 'u' WHERE id = %s", second)
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["x"]), ("a", "u", ["y"])]
    assert not MergeRecord.objects.exists()
    run("UPDATE legacy_notes SET title = 'v'")
    drain(synced)
    assert schema.modern_rows() == [("a", "v", ["y", "x"])]
    assert_in_step()


def test_rows_that_change_their_ids_leave_nothing_behind(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"), ("a", "t", "y"))
    drain(synced)
    run("UPDATE legacy_notes SET id = 1000 - id")
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["x", "y"])]
    assert_in_step()


def test_a_rejected_row_keeps_its_document_out_of_modern_until_it_is_mended(synced: AnyMigration) -> None:
    good, bad = schema.add_rows(("a", "t", "x"), ("a", "t", "y"))
    drain(synced)
    run("UPDATE legacy_notes SET body = NULL WHERE id = %s", bad)
    run("UPDATE legacy_notes SET body = 'new' WHERE id = %s", good)
    drain(synced)
    assert schema.modern_rows() == []
    items = {item.row: (item.code, item.held_by, item.status) for item in QuarantineItem.objects.all()}
    assert items == {str(bad): ("body_missing", None, "open"), str(good): ("body_missing", str(bad), "open")}
    run("UPDATE legacy_notes SET body = 'again' WHERE id = %s", bad)
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["again", "new"])]
    assert set(QuarantineItem.objects.values_list("status", flat=True)) == {"resolved"}
    assert_in_step()


def test_when_a_rejected_row_is_deleted_the_rest_of_its_document_goes_on(synced: AnyMigration) -> None:
    good, bad = schema.add_rows(("a", "t", "x"), ("a", "t", None))
    drain(synced)
    assert schema.modern_rows() == []
    run("DELETE FROM legacy_notes WHERE id = %s", bad)
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["x"])]
    assert Lineage.objects.get().row == str(good)
    assert_in_step()


def test_a_row_that_loses_its_key_is_quarantined_and_its_document_goes(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    run("UPDATE legacy_notes SET notebook = NULL WHERE id = %s", row)
    drain(synced)
    assert schema.modern_rows() == []
    item = QuarantineItem.objects.get()
    assert (item.row, item.code, item.key, item.status) == (str(row), "notebook_missing", None, "open")
    assert Lineage.objects.get().code == "notebook_missing"
    run("UPDATE legacy_notes SET notebook = 'b' WHERE id = %s", row)
    drain(synced)
    assert schema.modern_rows() == [("b", "t", ["x"])]
    assert QuarantineItem.objects.get().status == "resolved"
    assert_in_step()


def test_an_update_between_claim_and_load_is_carried_over_and_asked_for_again(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    update = somebody_else("UPDATE legacy_notes SET body = 'newer' WHERE id = %s", row)
    done = apply_changes(interrupted(synced, "load", update))
    assert (done.applied, done.remaining) == (1, 1)
    assert schema.modern_rows() == [("a", "t", ["newer"])]
    drain(synced)
    assert_in_step()


def test_a_delete_between_claim_and_load_is_not_undone(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    run("UPDATE legacy_notes SET body = 'y' WHERE id = %s", row)
    drain(interrupted(synced, "load", somebody_else("DELETE FROM legacy_notes WHERE id = %s", row)))
    assert schema.modern_rows() == []
    assert_in_step()


def test_a_move_between_looking_for_the_key_and_loading_mends_both_documents(synced: AnyMigration) -> None:
    first, _ = schema.add_rows(("a", "t", "x"), ("b", "u", "y"))
    drain(synced)
    run("UPDATE legacy_notes SET body = 'z' WHERE id = %s", first)
    move = somebody_else("UPDATE legacy_notes SET notebook = 'b', title = 'u' WHERE id = %s", first)
    drain(interrupted(synced, "keys_of", move, after=True))
    assert schema.modern_rows() == [("b", "u", ["y", "z"])]
    assert_in_step()


def test_the_document_a_row_left_is_mended_even_when_the_notice_of_a_sibling_is_worked_off_first(
    synced: AnyMigration,
) -> None:
    moved, sibling = schema.add_rows(("a", "old", "x"), ("a", "new", "y"))
    drain(synced)
    run("UPDATE legacy_notes SET title = 'new' WHERE id = %s", moved)
    DirtyKey.objects.all().delete()
    run("UPDATE legacy_notes SET body = 'z' WHERE id = %s", sibling)
    dirty.mark_rows(synced, [str(moved)])
    drain(synced, limit=1)
    assert schema.modern_rows() == [("a", "new", ["z", "x"])]
    assert_in_step()


def test_a_row_that_moved_within_one_batch_asks_for_nothing_more(synced: AnyMigration) -> None:
    moved, _ = schema.add_rows(("a", "old", "x"), ("a", "new", "y"))
    drain(synced)
    run("UPDATE legacy_notes SET title = 'new' WHERE id = %s", moved)
    done = applier.drain(synced)
    assert (done.applied, done.remaining) == (1, 0)
    run("UPDATE legacy_notes SET title = NULL WHERE id = %s", moved)
    done = applier.drain(synced)
    assert (done.applied, done.remaining) == (1, 0)
    assert_in_step()


def test_a_sibling_inserted_after_the_load_brings_its_own_notice(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    insert = somebody_else("INSERT INTO legacy_notes (notebook, title, body) VALUES ('a', 't', 'y')")
    done = apply_changes(interrupted(synced, "load", insert, after=True))
    assert (done.applied, done.remaining) == (1, 1)
    assert schema.modern_rows() == [("a", "t", ["x"])]
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["y", "x"])]
    assert_in_step()


def test_a_row_that_comes_back_while_its_deletion_is_applied_stays(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    run("DELETE FROM legacy_notes WHERE id = %s", row)
    again = somebody_else("INSERT INTO legacy_notes (id, notebook, title, body) VALUES (%s, 'a', 'u', 'y')", row)
    drain(interrupted(synced, "keys_of", again, after=True))
    assert schema.modern_rows() == [("a", "u", ["y"])]
    assert_in_step()


def test_what_one_applier_saw_of_a_row_is_not_written_over_what_another_saw_later(synced: AnyMigration) -> None:
    (row,) = schema.add_rows((None, "t", "x"))
    others: list[tuple[threading.Thread, list[Any]]] = []
    waiting_for_a_key = (
        "SELECT FROM pg_locks JOIN pg_database AS mine ON mine.oid = pg_locks.database"
        " WHERE NOT granted AND locktype = 'advisory' AND mine.datname = current_database()"
    )

    def mend_and_apply_meanwhile() -> None:
        somebody_else("UPDATE legacy_notes SET notebook = 'a' WHERE id = %s", row)()
        others.append(in_thread(lambda: drain(synced)))
        thread, _ = others[0]
        eventually(lambda: not thread.is_alive() or rows(waiting_for_a_key))

    apply_changes(interrupted(synced, "keyless", mend_and_apply_meanwhile, after=True))
    others[0][0].join()
    drain(synced)
    assert QuarantineItem.objects.get().status == "resolved"
    assert_in_step()


def test_a_change_that_is_rolled_back_leaves_nothing_to_do(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    with second_connection() as user:
        user.execute("UPDATE legacy_notes SET body = 'never' WHERE id = %s", [row])
        assert drain(synced).applied == 0
        user.rollback()
    assert noted() == []
    assert schema.modern_rows() == [("a", "t", ["x"])]


def test_a_user_who_updates_a_row_that_is_being_carried_over_waits_and_wins(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    users: list[tuple[threading.Thread, list[Any]]] = []

    def update_meanwhile() -> None:
        users.append(in_thread(lambda: run("UPDATE legacy_notes SET body = 'last' WHERE id = %s", row)))
        wait_for_row(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE legacy_notes%%'"
        )

    apply_changes(interrupted(synced, "load", update_meanwhile, after=True))
    users[0][0].join()
    assert users[0][1] == [1]
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["last"])]
    assert_in_step()


def test_a_row_somebody_holds_delays_nobody_else_and_its_holder_is_never_the_victim(synced: AnyMigration) -> None:
    held, free = schema.add_rows(("a", "t", "x"), ("b", "u", "y"))
    with second_connection() as user:
        user.execute("UPDATE legacy_notes SET body = 'slow' WHERE id = %s", [held])
        began = time.monotonic()
        done = drain(synced)
        assert time.monotonic() - began < 2
        assert (done.applied, done.failed, done.remaining) == (1, 1, 1)
        assert schema.modern_rows() == [("b", "u", ["y"])]
        stuck = DirtyKey.objects.get()
        assert (stuck.row, stuck.attempts, stuck.sqlstate) == (str(held), 1, "55P03")
        user.execute("UPDATE legacy_notes SET body = 'too' WHERE id = %s", [free])
    dirty.retry_now(synced)
    drain(synced)
    assert_in_step()


def test_opposite_lock_orders_of_user_and_applier_cost_the_user_only_a_moment(synced: AnyMigration) -> None:
    first, second = schema.add_rows(("a", "t", "x"), ("a", "t", "y"))
    with second_connection() as user:
        user.execute("SELECT 1 FROM legacy_notes WHERE id = %s FOR UPDATE", [second])
        thread, results = in_thread(lambda: drain(synced))
        wait_for_row("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%FOR SHARE'")
        began = time.monotonic()
        user.execute("UPDATE legacy_notes SET body = 'mine' WHERE id = %s", [first])
        assert time.monotonic() - began < 0.9
    thread.join()
    assert isinstance(results[0], applier.Applied)
    dirty.retry_now(synced)
    drain(synced)
    assert_in_step()


def test_a_document_the_other_side_refuses_goes_into_quarantine_with_all_its_rows(synced: AnyMigration) -> None:
    run("ALTER TABLE modern_notes ADD CONSTRAINT no_poison CHECK (title <> 'poison')")
    _, low, high, _ = schema.add_rows(("a", "t", "x"), ("a", "poison", "y"), ("a", "poison", "z"), ("b", "u", "z"))
    done = drain(synced)
    assert (done.applied, done.failed, done.remaining) == (4, 0, 0)
    assert [row[1] for row in schema.modern_rows()] == ["t", "u"]
    items = {item.row: item for item in QuarantineItem.objects.all()}
    assert {row: (item.code, item.status, item.held_by) for row, item in items.items()} == {
        str(high): ("refused_by_database", "open", None),
        str(low): ("refused_by_database", "open", str(high)),
    }
    assert "no_poison" in items[str(high)].message
    assert not MergeRecord.objects.exists()
    assert set(Lineage.objects.filter(code="refused_by_database").values_list("row", flat=True)) == set(items)


def test_what_is_refused_now_has_no_older_copy_in_modern(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    run("ALTER TABLE modern_notes ADD CHECK (lines <> '{forbidden}')")
    run("UPDATE legacy_notes SET body = 'forbidden' WHERE id = %s", row)
    assert drain(synced).failed == 0
    assert schema.modern_rows() == []
    run("UPDATE legacy_notes SET body = 'fine' WHERE id = %s", row)
    drain(synced)
    assert QuarantineItem.objects.get().status == "resolved"
    assert_in_step()


def test_an_error_that_is_not_the_row_s_fault_leaves_it_on_the_list(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    run("ALTER TABLE modern_notes RENAME TO elsewhere")
    assert drain(synced).failed == 1
    assert DirtyKey.objects.get().sqlstate == "42P01"
    assert not QuarantineItem.objects.exists()
    run("ALTER TABLE elsewhere RENAME TO modern_notes")
    dirty.retry_now(synced)
    drain(synced)
    assert_in_step()


@pytest.mark.parametrize("key", [None, "", "nonsense"])
def test_a_notice_that_names_nothing_stays_with_a_reason_and_holds_up_no_other(
    synced: AnyMigration, key: str | None
) -> None:
    DirtyKey.objects.create(migration=synced.name, side=Side.LEGACY, key=key, created_at=dirty.now())
    schema.add_rows(("garden", "peas", "sow"))

    done = drain(synced)

    assert (done.applied, done.failed, done.remaining) == (1, 1, 1)
    assert NoteKey("garden", "peas") in {note.key for note in ModernNotes().load([NoteKey("garden", "peas")]).documents}
    assert "names" in DirtyKey.objects.get().error


def test_draining_ends_although_somebody_writes_all_the_time(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t0", "x"))
    asked = 0

    def write_again() -> bool:
        nonlocal asked
        asked += 1
        schema.add_rows(("a", f"t{asked}", "x"))
        return asked > 100

    done = drain(synced, stop=write_again)
    assert 0 < done.applied <= asked < 100
    assert drain(synced).remaining == 0
    assert_in_step()


def test_each_failed_attempt_waits_twice_as_long_up_to_a_bound(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", None))
    drain(synced)
    change_modern(synced, NoteKey("a", "t"), ("modern",))
    for attempts, seconds in ((0, 0.2), (1, 0.4), (2, 0.8), (60, 300)):
        run("UPDATE migration_ops_dirtykey SET not_before = NULL, attempts = %s", attempts)
        ((before,),) = rows("SELECT clock_timestamp()")
        assert drain(synced).failed == 1
        ((earliest, until),) = rows(
            "SELECT not_before - %s * interval '1 second', clock_timestamp() FROM migration_ops_dirtykey", seconds
        )
        assert before <= earliest <= until
    assert drain(synced).failed == 0


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_batch_that_somebody_was_in_the_way_of_is_tried_again(synced: AnyMigration, sqlstate: str) -> None:
    schema.add_rows(("a", "t", "x"))

    def collide() -> None:
        run(f"DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '{sqlstate}'; END $$")

    done = drain(interrupted(synced, "load", collide))
    assert (done.applied, done.failed) == (1, 0)
    assert_in_step()


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
@pytest.mark.parametrize("side", list(Side))
def test_a_document_that_is_always_in_conflict_stays_on_the_list_and_holds_up_no_other(
    synced: AnyMigration, settings: Any, side: Side, sqlstate: str
) -> None:
    """Whichever side it has to be written to; it is carried over once the cause is gone."""
    settings.MIGRATION_OPS = {"RETRY_FIRST_DELAY": timedelta(milliseconds=1)}
    schema.add_rows(*(("a", title, "x") for title in ("n1", "poison", "n2")))
    table = "legacy_notes" if side is Side.MODERN else "modern_notes"
    if side is Side.MODERN:
        drain(synced)
        for title in ("n1", "poison", "n2"):
            change_modern(synced, NoteKey("a", title), ("y",))
    run(
        "CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.title = 'poison'"
        f" THEN RAISE EXCEPTION 'made up' USING ERRCODE = '{sqlstate}'; END IF; RETURN NEW; END $$;"
        f"CREATE TRIGGER complain BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION complain()"
    )
    try:
        done = drain(synced)
        assert (done.applied, done.failed, done.remaining) == (2, 1, 1)
        waiting = DirtyKey.objects.get()
        assert (waiting.attempts, waiting.sqlstate, waiting.error) == (1, sqlstate, f"made up ({sqlstate})")
        schema.add_rows(("b", "later", "z"))
        dirty.retry_now(synced)
        assert (drain(synced).applied, DirtyKey.objects.get().attempts) == (1, 2)
    finally:
        run("DROP FUNCTION complain() CASCADE")
    assert not QuarantineItem.objects.exists()
    dirty.retry_now(synced)
    assert drain(synced).remaining == 0
    assert_in_step()


def test_a_batch_whose_connection_is_cut_is_done_on_a_new_one(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    ((mine,),) = rows("SELECT pg_backend_pid()")
    done = drain(interrupted(synced, "load", somebody_else("SELECT pg_terminate_backend(%s, 5000)", mine)))
    assert (done.applied, done.failed) == (1, 0)
    assert rows("SELECT pg_backend_pid()") != [(mine,)]
    assert_in_step()


def test_two_appliers_share_the_work_and_do_nothing_twice(synced: AnyMigration) -> None:
    ids = schema.add_rows(*((f"n{n % 7}", f"t{n % 11}", str(n)) for n in range(300)))
    barrier = threading.Barrier(2)

    def work() -> applier.Applied:
        barrier.wait()
        total = applier.Applied()
        while (step := apply_changes(synced, limit=20)).applied or step.remaining:
            total.add(step)
        return total

    workers = [in_thread(work) for _ in range(2)]
    for thread, _ in workers:
        thread.join()
    shares = [results[0] for _, results in workers]
    assert sum(share.applied for share in shares) == len(ids)
    assert sum(share.failed for share in shares) == 0
    assert_in_step()


def test_a_notice_somebody_else_has_taken_is_left_to_them(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"), ("b", "u", "y"))
    with second_connection() as other:
        other.execute("SELECT 1 FROM migration_ops_dirtykey ORDER BY id LIMIT 1 FOR UPDATE")
        assert drain(synced).applied == 1
        assert schema.modern_rows() == [("b", "u", ["y"])]
    assert drain(synced).applied == 1
    assert_in_step()


def test_a_key_another_worker_holds_is_waited_for(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    thread, results = None, []
    with transaction.atomic():
        origin.announce()
        locks.lock_keys(synced, [NoteKey("a", "t")])
        thread, results = in_thread(lambda: drain(synced))
        wait_for_row("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'")
        ModernNotes().save([Note(NoteKey("a", "t"), ("stale",))])
    thread.join()
    assert results[0].applied == 1
    assert schema.modern_rows() == [("a", "t", ["x"])]


def change_modern(synced: AnyMigration, key: NoteKey, lines: tuple[str, ...] | None) -> None:
    """What a dual write whose second half failed leaves: modern changed, and the key on the list."""
    with transaction.atomic():
        origin.announce()
        if lines is None:
            ModernNotes().delete([key])
        else:
            ModernNotes().save([Note(key, lines)])
        dirty.mark_keys(synced, [key], side=Side.MODERN)


def test_a_change_in_modern_travels_to_legacy(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"), ("b", "u", "y"))
    drain(synced)
    change_modern(synced, NoteKey("a", "t"), ("one", "two"))
    change_modern(synced, NoteKey("b", "u"), None)
    change_modern(synced, NoteKey("c", "v"), ("new",))
    assert drain(synced).applied == 3
    assert everything(LegacyNotes()) == {NoteKey("a", "t"): ("one", "two"), NoteKey("c", "v"): ("new",)}
    assert not BeforeImage.objects.exists()
    assert_in_step()


@pytest.mark.parametrize("limit", [1, 100])
def test_where_both_sides_changed_the_authority_wins_and_the_other_s_word_is_kept(
    synced: AnyMigration, limit: int
) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    change_modern(synced, NoteKey("a", "t"), ("modern",))
    run("UPDATE legacy_notes SET body = 'legacy' WHERE id = %s", row)
    drain(synced, limit=limit)
    assert schema.modern_rows() == [("a", "t", ["legacy"])]
    image = BeforeImage.objects.get()
    assert (image.side, image.cause, image.image["lines"]) == ("modern", "conflict", ["modern"])
    assert_in_step()


def test_what_staff_ask_for_in_their_request_has_no_say_about_documents_of_others(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    go_to_ramp(synced, percent=0)
    run("UPDATE migration_ops_migrationstate SET canary_header = 'X-Store', version = version + 1")
    change_modern(synced, NoteKey("a", "t"), ("modern",))
    run("UPDATE legacy_notes SET body = 'legacy' WHERE id = %s", row)
    staff = Visitor(header=lambda _: "modern", cookie=lambda _: None, is_staff=lambda: True)
    with visitor.asking(staff):
        drain(synced)
    assert schema.modern_rows() == [("a", "t", ["legacy"])]
    assert_in_step()


BY_SQL = (
    "UPDATE legacy_notes SET body = 'by sql' WHERE title = 't'",
    "INSERT INTO legacy_notes (notebook, title, body) VALUES ('a', 't', 'by sql')",
    "DELETE FROM legacy_notes WHERE title = 't'; INSERT INTO legacy_notes (notebook, title, body)"
    " VALUES ('a', 't', 'by sql')",
)


@pytest.mark.parametrize("sql", BY_SQL, ids=["changed", "added", "replaced"])
def test_what_sql_says_in_legacy_right_before_it_is_written_over_is_kept(synced: AnyMigration, sql: str) -> None:
    """Modern has the word; which sides changed was looked up already when legacy changed as well."""
    schema.add_rows(("a", "t", "x"))
    drain(synced)
    go_to_ramp(synced, percent=100)
    change_modern(synced, NoteKey("a", "t"), ("modern",))
    drain(interrupted(synced, "load", somebody_else(sql)))
    drain(synced)
    dirty.retry_now(synced)
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["modern"])]
    (image,) = BeforeImage.objects.all()
    assert (image.side, image.cause) == ("legacy", "conflict")
    assert "by sql" in image.image["lines"]
    assert_in_step()


def test_what_sql_says_in_modern_right_before_it_is_written_over_is_kept(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    go_to_ramp(synced, percent=0)
    run("UPDATE legacy_notes SET body = 'legacy' WHERE id = %s", row)
    drain(interrupted(synced, "load", somebody_else("UPDATE modern_notes SET lines = ARRAY['by sql']")))
    drain(synced)
    assert schema.modern_rows() == [("a", "t", ["legacy"])]
    (image,) = BeforeImage.objects.all()
    assert (image.side, image.cause, image.image["lines"]) == ("modern", "conflict", ["by sql"])
    assert_in_step()


class Overtaken(ModernNotes):
    """The modern store, which somebody changes right before it is written the first time."""

    def __init__(self, hook: Hook) -> None:
        self._hook = [hook]

    def save(self, documents: Collection[Note]) -> Saved:
        while self._hook:
            self._hook.pop()()
        return super().save(documents)


def test_the_image_of_a_conflict_is_of_what_is_written_over(synced: AnyMigration) -> None:
    """Modern changes once more after its image was made and before it is written."""
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    go_to_ramp(synced, percent=0)
    change_modern(synced, NoteKey("a", "t"), ("modern",))
    run("UPDATE legacy_notes SET body = 'legacy' WHERE id = %s", row)
    store = Overtaken(somebody_else("UPDATE modern_notes SET lines = ARRAY['by sql']"))
    drain(replace(synced, modern=lambda: store))
    assert schema.modern_rows() == [("a", "t", ["legacy"])]
    (image,) = BeforeImage.objects.all()
    assert (image.side, image.cause, image.image["lines"]) == ("modern", "conflict", ["by sql"])
    assert_in_step()


def test_two_sides_that_changed_to_the_same_are_no_conflict(synced: AnyMigration) -> None:
    (row,) = schema.add_rows(("a", "t", "x"))
    drain(synced)
    change_modern(synced, NoteKey("a", "t"), ("same",))
    run("UPDATE legacy_notes SET body = 'same' WHERE id = %s", row)
    drain(synced)
    assert not BeforeImage.objects.exists()
    assert_in_step()


def test_a_change_in_modern_does_not_touch_rows_that_wait_for_a_person(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", None))
    drain(synced)
    change_modern(synced, NoteKey("a", "t"), ("modern",))
    done = drain(synced)
    assert (done.applied, done.failed) == (0, 1)
    assert "in quarantine (body_missing)" in DirtyKey.objects.get().error
    assert rows("SELECT body FROM legacy_notes") == [(None,)]


def test_at_stage_off_syncing_is_refused(notes: AnyMigration) -> None:
    dirty.mark_rows(notes, ["1"])
    for attempt in (apply_changes, drain):
        with pytest.raises(Refused, match="stage off: nothing is captured"):
            attempt(notes)
    assert dirty.remaining(notes) == 1


def test_other_migrations_notices_are_left_alone(synced: AnyMigration) -> None:
    dirty.mark_rows(replace(synced, name="other"), ["1"])
    assert drain(synced).applied == 0
    assert DirtyKey.objects.get().migration == "other"


@pytest.mark.parametrize(
    ("lags", "p95"),
    [([], None), ([7.0], 7.0), ([float(n) for n in range(100, 0, -1)], 95.0), ([1.0] * 19 + [9.0], 1.0)],
)
def test_the_lag_is_what_95_percent_stay_within(lags: list[float], p95: float | None) -> None:
    assert lag_p95(lags) == p95


@pytest.mark.parametrize("label", sorted(name for name in failpoints.LABELS if name.startswith("applier.")))
def test_killed_anywhere_the_next_one_ends_in_the_same_data(
    synced: AnyMigration, start_notes_command: Callable[..., Any], label: str
) -> None:
    first, second, third, _ = schema.add_rows(("a", "t", "x"), ("a", "t", "y"), ("b", "u", "z"), ("held", "s", None))
    drain(synced)
    dirty.mark_keys(synced, [NoteKey("held", "s")], side=Side.MODERN)
    run("UPDATE legacy_notes SET title = 'moved' WHERE id = %s", second)
    run("DELETE FROM legacy_notes WHERE id = %s", third)
    run("UPDATE legacy_notes SET body = 'newer' WHERE id = %s", first)
    run("ALTER TABLE modern_notes ADD CONSTRAINT no_poison CHECK (title <> 'poison')")
    schema.add_rows(("c", "poison", "w"), ("d", "v", None))
    killed = start_notes_command("sync_changes", failpoint=label)
    _, errors = killed.communicate(timeout=60)
    assert killed.returncode == -9, errors
    run("ALTER TABLE modern_notes DROP CONSTRAINT no_poison")
    run("DELETE FROM legacy_notes WHERE notebook = 'held'")
    dirty.retry_now(synced)
    drain(synced)
    quarantine.retry(synced, actor="Kim")
    assert schema.modern_rows() == [("a", "moved", ["y"]), ("a", "t", ["newer"]), ("c", "poison", ["w"])]
    assert_in_step()
