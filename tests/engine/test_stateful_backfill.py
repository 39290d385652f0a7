"""A backfill among writers, with the reading and the committing of a batch, crashes, and the applier as separate steps.

Hypothesis puts them in every order it can think of; afterwards nothing may be lost, extra or different. The same
machine run on deliberately broken backfills must find each of them out, or it would prove nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from migration_ops import runs, state, transitions
from migration_ops.backfill import batch
from migration_ops.backfill import lease as leases
from migration_ops.backfill.batch import Job, Place
from migration_ops.conf import settings as engine_settings
from migration_ops.definition import AnyMigration, Page, Side, Span
from migration_ops.exceptions import LeaseHeld
from migration_ops.models import Run, RunKind
from migration_ops.runs import Plan
from migration_ops.sync import applier, capture
from tests.engine.invariants import OutOfStepError, assert_in_step
from tests.notes import schema
from tests.notes.migration import notes
from tests.notes.note import Note, NoteKey
from tests.notes.stores import LegacyNotes

BATCH = 3
TABLES = "migration_ops_lineage, migration_ops_dirtykey, migration_ops_quarantineitem, migration_ops_mergerecord"


class CrashError(Exception):
    """The process is gone at this point; its transaction is rolled back."""


class Gate:
    """Stops a batch between its reading and the rest, until the test lets it go on or crash."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[str] = queue.Queue()
        self.go_on: queue.Queue[bool] = queue.Queue()

    def pass_through(self) -> None:
        self.arrived.put("read")
        if not self.go_on.get(timeout=30):
            raise CrashError


class GatedNotes(LegacyNotes):
    """The real legacy store; after a page was read for writing it waits at the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[NoteKey]], None] | None = None
    ) -> Page[NoteKey, Note]:
        page = super().scan(span, limit, claim=claim)
        self._gate.pass_through()
        return page


class UnlockedNotes(GatedNotes):
    """Broken on purpose: neither keys nor rows are locked."""

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[NoteKey]], None] | None = None
    ) -> Page[NoteKey, Note]:
        return super().scan(span, limit, claim=None)


class Backfill(RuleBasedStateMachine):
    """The real thing."""

    store: type[GatedNotes] = GatedNotes
    capture_before_copy = True

    @initialize(rows=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=9))
    def begin(self, rows: list[tuple[str, str]]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '60ms'")
            cursor.execute(f"DELETE FROM legacy_notes; DELETE FROM modern_notes; TRUNCATE {TABLES}")
        Run.objects.all().delete()
        if state.read(notes).stage == "off":
            transitions.advance(notes, actor="the test")
        capture.install(notes)
        schema.add_rows(*((notebook, title, f"first {n}") for n, (notebook, title) in enumerate(rows)))
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM migration_ops_dirtykey")
        if not self.capture_before_copy:
            capture.remove(notes)
        with transaction.atomic():
            plan = Plan(spans=LegacyNotes().spans(1), side=Side.LEGACY, options={}, total=None)
            self.run = runs.open_new(notes, RunKind.BACKFILL, plan, actor="the test").run
        self.gate = Gate()
        self.job = Job(
            migration=replace(notes, legacy=lambda: self.store(self.gate)),
            run_id=self.run.pk,
            legacy=lambda: self.store(self.gate),
            capture_since=state.read(notes).capture_since,
            fresh=True,
        )
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None
        self.done = False
        self.serial = 0

    # --- users, who write past the app ------------------------------------------------------------------------------

    @rule(notebook=st.sampled_from("ab"), title=st.sampled_from(["x", "y", " x", "z"]), low=st.booleans())
    def insert(self, notebook: str, title: str, low: bool) -> None:
        self.serial += 1
        columns, values = ("id, ", "(SELECT min(id) - 1 FROM legacy_notes), ") if low else ("", "")
        self.as_user(
            f"INSERT INTO legacy_notes ({columns}notebook, title, body) VALUES ({values}%s, %s, %s)",
            [notebook, title, f"new {self.serial}"],
        )

    @rule(place=st.integers(0, 8), title=st.sampled_from(["x", "y"]), body=st.sampled_from(["changed", None]))
    def update(self, place: int, title: str, body: str | None) -> None:
        self.serial += 1
        self.as_user(
            "UPDATE legacy_notes SET title = %s, body = %s WHERE id = (SELECT id FROM legacy_notes ORDER BY id"
            " OFFSET %s LIMIT 1)",
            [title, body and f"{body} {self.serial}", place],
        )

    @rule(place=st.integers(0, 8))
    def delete(self, place: int) -> None:
        self.as_user(
            "DELETE FROM legacy_notes WHERE id = (SELECT id FROM legacy_notes ORDER BY id OFFSET %s LIMIT 1)", [place]
        )

    @rule(notebook=st.sampled_from("ab"))
    def shrink(self, notebook: str) -> None:
        """All but the newest row of each note of a notebook go."""
        self.as_user(
            "DELETE FROM legacy_notes AS old USING legacy_notes AS new WHERE old.notebook = %s"
            " AND new.notebook = old.notebook AND btrim(new.title) = btrim(old.title) AND new.id > old.id",
            [notebook],
        )

    def as_user(self, statement: str, parameters: list[object]) -> None:
        """A user whom a batch keeps waiting comes back later: for the order of things that is the same."""
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement, parameters)
        except OperationalError as error:
            if error.__cause__.sqlstate != "55P03":  # type: ignore[union-attr]
                raise

    # --- the backfill -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.thread is None and not self.done)
    @rule()
    def read_batch(self) -> None:
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        self.gate.arrived.get(timeout=30)
        self.raise_failure()

    @precondition(lambda self: self.thread is not None)
    @rule()
    def commit_batch(self) -> None:
        self.finish(go_on=True)

    @precondition(lambda self: self.thread is not None)
    @rule()
    def crash(self) -> None:
        self.finish(go_on=False)

    def finish(self, *, go_on: bool) -> None:
        assert self.thread is not None
        self.gate.go_on.put(go_on)
        self.thread.join(timeout=30)
        self.thread = None
        self.raise_failure()

    def raise_failure(self) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def work(self) -> None:
        try:
            lease = self.claim()
            place = Place.read(lease)
            self.done = self.one_batch(lease, place)
        except CrashError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            self.failure = error
            self.gate.arrived.put("failed")
        finally:
            connections.close_all()

    def claim(self) -> Any:
        """The server notices only a moment later that whoever held it before hung up."""
        for _ in range(200):
            try:
                return leases.claim(self.run.pk, 1, engine_settings().lease)
            except LeaseHeld:
                threading.Event().wait(0.01)
        return leases.claim(self.run.pk, 1, engine_settings().lease)

    def one_batch(self, lease: Any, place: Place) -> bool:
        return batch.run(self.job, lease, place, BATCH, size=BATCH, speed=0.0).place.done

    # --- the applier ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.thread is None)
    @rule()
    def apply(self) -> None:
        applier.drain(notes)

    @precondition(lambda self: self.thread is not None)
    @rule()
    def apply_during_a_batch(self) -> None:
        """The applier waits for the batch where it must; everything it does not wait for happens in between."""
        racing = threading.Thread(target=self.drain_elsewhere, daemon=True)
        racing.start()
        racing.join(timeout=0.15)
        self.finish(go_on=True)
        racing.join(timeout=30)
        self.raise_failure()

    def drain_elsewhere(self) -> None:
        try:
            applier.drain(notes)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            self.failure = error
        finally:
            connections.close_all()

    # --- the end ----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "run"):
            return
        if self.thread is not None:
            self.finish(go_on=True)
        while not self.done:
            self.read_batch()
            self.finish(go_on=True)
        if not self.capture_before_copy:
            capture.install(notes)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE migration_ops_dirtykey SET not_before = NULL")
        assert applier.drain(notes).remaining == 0
        assert_in_step()


class WithoutLocks(Backfill):
    """Broken on purpose: what a batch has read may change before it is written."""

    store = UnlockedNotes


class CheckpointFirst(Backfill):
    """Broken on purpose: the cursor is committed before the documents are."""

    def one_batch(self, lease: Any, place: Place) -> bool:
        with transaction.atomic():
            page = LegacyNotes().scan(place.span, BATCH)
            leases.update(lease, cursor=page.cursor, done=page.cursor is None)
            self.done = page.cursor is None
        self.gate.pass_through()
        with transaction.atomic():
            page = LegacyNotes().scan(place.span, BATCH, claim=lambda keys: batch.locks.lock_keys(notes, keys))
            notes.modern().save(page.documents)
            batch.origin.announce()
            batch.bookkeeping.record(notes, page)
        return page.cursor is None


class CaptureAfterCopy(Backfill):
    """Broken on purpose: changes are captured only once everything was copied."""

    capture_before_copy = False


def play(machine: type[Backfill], *, examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=14,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


def test_nothing_is_lost_extra_or_different_in_any_order(notes: AnyMigration) -> None:
    play(Backfill, examples=40)


def test_a_row_that_the_applier_knew_first_and_that_then_moved_leaves_nothing_behind(notes: AnyMigration) -> None:
    story = Backfill()
    story.begin(rows=[("b", "x"), ("b", "y")])
    story.insert(notebook="a", title="z", low=True)
    story.apply()
    story.update(place=0, title="y", body="changed")
    story.teardown()


@pytest.mark.slow
def test_nothing_is_lost_extra_or_different_in_very_many_orders(notes: AnyMigration) -> None:
    play(Backfill, examples=1000)


@pytest.mark.parametrize("broken", [WithoutLocks, CheckpointFirst, CaptureAfterCopy])
def test_a_broken_backfill_is_found_out(notes: AnyMigration, broken: type[Backfill]) -> None:
    with pytest.raises(OutOfStepError):
        play(broken, examples=200)
