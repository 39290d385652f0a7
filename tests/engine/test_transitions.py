"""Steps from stage to stage: what lets them through, what stops them, and what others notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from migration_ops import gates, history, locks, stages, state, transitions
from migration_ops.definition import AnyMigration, PreflightCheck, Status
from migration_ops.exceptions import FenceBusy, GateClosed, IllegalTransition, Refused, StageChanged, UnusableInput
from migration_ops.gates import Gate, Verdict
from migration_ops.models import HistoryEntry, MigrationState
from migration_ops.stages import Stage
from migration_ops.sync import capture
from tests.engine.syncing import rows, run, second_connection
from tests.engine.waiting import InThread, eventually
from tests.notes import schema

Evaluate = Callable[[AnyMigration], Gate]


@pytest.fixture
def gate(notes: AnyMigration) -> Iterator[Callable[[str, Evaluate], None]]:
    """Put another evaluator in a gate's place, until the end of the test."""
    replaced: dict[str, tuple[Evaluate, Evaluate]] = {}

    def put(gate_id: str, evaluator: Evaluate) -> None:
        replaced[gate_id] = gates._evaluators[gate_id]
        gates.unregister(gate_id)
        gates.register(gate_id, evaluator)

    yield put
    for gate_id, (evaluator, fenced) in replaced.items():
        gates.unregister(gate_id)
        gates.register(gate_id, evaluator, fenced=fenced)


@pytest.fixture
def open_gates(gate: Callable[[str, Evaluate], None]) -> None:
    """Every gate up to `shadow` passes."""
    for gate_id in {name for step in stages.TRANSITIONS[:2] for name in step.gates}:
        gate(gate_id, lambda _, gate_id=gate_id: Gate(id=gate_id, verdict=Verdict.PASS, message="Open."))


@pytest.fixture
def other() -> Iterator[psycopg.Connection[Any]]:
    """Somebody else's session, known as `old worker`."""
    with second_connection() as session:
        session.execute("SET application_name = 'old worker'")
        session.commit()
        yield session
        session.rollback()


def enter_fence(session: psycopg.Connection[Any], migration: AnyMigration) -> None:
    session.execute("SELECT pg_advisory_xact_lock_shared(%s)", [locks.fence_id(migration)])


def somebody_tries_the_fence() -> bool:
    """Asked in a session of its own: a transaction sees the activity as it was when it first looked."""
    with second_connection() as session:
        found = session.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND query LIKE 'SELECT pg_try_advisory_xact_lock%' AND state = 'idle in transaction'"
        )
        return found.fetchone() is not None


def advance(migration: AnyMigration, **options: Any) -> transitions.Step:
    return transitions.advance(migration, actor="ann", **options)


def test_the_first_step_switches_capture_on_and_is_told_to_everybody_who_listens(
    notes: AnyMigration, other: psycopg.Connection[Any]
) -> None:
    other.autocommit = True
    other.execute(f"LISTEN {state.CHANNEL}")
    step = advance(notes, reason="we begin")
    assert (step.before.stage, step.after.stage, step.after.version) == (Stage.OFF, Stage.DUAL_WRITE, 1)
    assert step.after.capture_since is not None
    assert capture.status(notes).intact
    assert [notice.payload for notice in other.notifies(timeout=5, stop_after=1)] == ["notes"]


def test_each_step_is_in_the_history_with_actor_reason_and_evidence(notes: AnyMigration) -> None:
    advance(notes, reason="we begin")
    entry = HistoryEntry.objects.get()
    assert (entry.actor, entry.verb, entry.reason) == ("ann", "advance", "we begin")
    assert (entry.from_stage, entry.to_stage) == ("off", "dual_write")
    assert [gate["id"] for gate in entry.evidence["gates"]] == ["preflight_clean"]
    assert entry.evidence["step"] == 1
    assert history.verify().ok


def test_going_back_to_off_removes_capture_and_says_that_a_new_backfill_is_needed(notes: AnyMigration) -> None:
    advance(notes)
    step = transitions.back(notes, Stage.OFF, actor="ben")
    assert (step.after.stage, step.after.capture_since) == (Stage.OFF, None)
    assert not capture.status(notes).intact
    assert "new backfill is needed" in history.entries(notes)[0].evidence["note"]


def test_going_forward_again_finds_capture_off_and_switches_it_on(notes: AnyMigration) -> None:
    first = advance(notes).after.capture_since
    transitions.back(notes, Stage.OFF, actor="ben")
    again = advance(notes).after
    assert again.version == 3
    assert again.capture_since is not None
    assert first is not None
    assert again.capture_since > first


def test_going_back_to_a_stage_that_captures_leaves_capture_alone(notes: AnyMigration, open_gates: None) -> None:
    since = advance(notes).after.capture_since
    advance(notes)
    assert transitions.back(notes, Stage.DUAL_WRITE, actor="ben").after.capture_since == since
    assert capture.status(notes).intact


def test_a_dry_run_says_what_would_happen_and_changes_nothing(notes: AnyMigration) -> None:
    step = advance(notes, dry_run=True)
    assert step.after.stage is Stage.DUAL_WRITE
    assert [gate.id for gate in step.gates] == ["preflight_clean"]
    assert state.stage(notes) is Stage.OFF
    assert not HistoryEntry.objects.exists()
    assert not capture.status(notes).intact


def test_a_closed_gate_refuses_the_step_with_its_sentence(notes: AnyMigration) -> None:
    advance(notes)
    with pytest.raises(
        GateClosed, match=r"(?s)backfill_complete \(inconclusive\): No backfill.*validation_clean"
    ) as caught:
        advance(notes)
    assert "backfill_complete" in [gate.id for gate in caught.value.gates]
    assert state.stage(notes) is Stage.DUAL_WRITE


def test_a_gate_that_closes_behind_the_fence_refuses_the_step(
    notes: AnyMigration, gate: Callable[[str, Evaluate], None]
) -> None:
    verdicts = iter([Verdict.PASS, Verdict.FAIL])
    gate("preflight_clean", lambda _: Gate(id="preflight_clean", verdict=next(verdicts), message="It got worse."))
    with pytest.raises(GateClosed, match="It got worse"):
        advance(notes)
    assert state.stage(notes) is Stage.OFF
    assert not capture.status(notes).intact
    assert not HistoryEntry.objects.exists()


def test_the_domains_own_checks_are_made_before_writers_wait_and_not_while_they_do(notes: AnyMigration) -> None:
    made_while_fenced: list[bool] = []

    def reads_a_lot() -> PreflightCheck:
        mine = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND pid = pg_backend_pid()"
        made_while_fenced.append(rows(mine) != [])
        return PreflightCheck("reads_a_lot", Status.OK, "Fine.")

    assert advance(replace(notes, preflight=(reads_a_lot,))).after.stage is Stage.DUAL_WRITE
    assert made_while_fenced == [False]


def test_a_gate_without_an_evaluator_refuses_the_step(
    notes: AnyMigration, open_gates: None, gate: Callable[[str, Evaluate], None]
) -> None:
    advance(notes)
    advance(notes)
    gate("sync_lag", lambda _: Gate(id="sync_lag", verdict=Verdict.PASS, message="Open."))
    gates.unregister("sync_lag")
    with pytest.raises(GateClosed, match="No evaluator for gate sync_lag is installed"):
        advance(notes)


def test_hold_stops_the_way_forward_and_not_the_way_back(notes: AnyMigration) -> None:
    advance(notes)
    MigrationState.objects.update(hold=True)
    with pytest.raises(Refused, match="on hold"):
        advance(notes)
    assert transitions.back(notes, Stage.OFF, actor="ben").after.stage is Stage.OFF


def test_there_is_no_way_back_to_where_one_never_was(notes: AnyMigration) -> None:
    with pytest.raises(IllegalTransition, match="no way back from off to live"):
        transitions.back(notes, Stage.LIVE, actor="ben")
    with pytest.raises(IllegalTransition):
        transitions.back(notes, Stage.OFF, actor="ben")


def test_a_step_that_retires_the_legacy_store_names_the_command_for_it(notes: AnyMigration) -> None:
    MigrationState.objects.create(name=notes.name)
    for version, stage in enumerate(("dual_write", "shadow", "ramp", "live"), start=1):
        MigrationState.objects.update(stage=stage, version=version)
    with pytest.raises(Refused, match="retire_legacy"):
        advance(notes)
    MigrationState.objects.update(stage="frozen", version=5)
    with pytest.raises(Refused, match="retire_legacy"):
        transitions.back(notes, Stage.LIVE, actor="ben")


def test_leaving_the_ramp_backwards_sets_its_percentage_to_zero(notes: AnyMigration) -> None:
    MigrationState.objects.create(name=notes.name)
    for version, stage in enumerate(("dual_write", "shadow", "ramp"), start=1):
        MigrationState.objects.update(stage=stage, version=version)
    MigrationState.objects.update(percent=20)
    assert transitions.back(notes, Stage.SHADOW, actor="ben").after.percent == Decimal(0)


def test_a_step_decided_on_an_old_version_is_refused(notes: AnyMigration) -> None:
    advance(notes)
    with pytest.raises(StageChanged, match="at dual_write now"):
        transitions.back(notes, Stage.OFF, actor="ben", version=0)


def test_a_step_needs_somebody_who_makes_it(notes: AnyMigration) -> None:
    with pytest.raises(UnusableInput, match="Say who"):
        transitions.advance(notes, actor=" ")
    assert state.stage(notes) is Stage.OFF
    assert not capture.status(notes).intact


def test_a_writer_in_the_fence_is_named_when_it_does_not_leave_in_time(
    notes: AnyMigration, other: psycopg.Connection[Any], settings: Any
) -> None:
    settings.MIGRATION_OPS = {"FENCE_TIMEOUT": timedelta(milliseconds=300)}
    enter_fence(other, notes)
    began = time.monotonic()
    with pytest.raises(FenceBusy, match=rf"pid {other.info.backend_pid} \('old worker'.*transaction since"):
        advance(notes)
    assert time.monotonic() - began < 3
    assert state.stage(notes) is Stage.OFF


def test_a_step_goes_on_as_soon_as_the_writer_left_the_fence(
    notes: AnyMigration, other: psycopg.Connection[Any]
) -> None:
    enter_fence(other, notes)
    step = InThread(lambda: advance(notes))
    eventually(somebody_tries_the_fence)
    assert state.stage(notes) is Stage.OFF
    other.commit()
    assert step.outcome().after.stage is Stage.DUAL_WRITE


def test_writers_who_relieve_each_other_cannot_keep_a_step_out(notes: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"FENCE_TIMEOUT": timedelta(seconds=4)}
    enough = threading.Event()
    inside = threading.Semaphore(0)

    def write() -> None:
        with second_connection() as session:
            while not enough.is_set():
                enter_fence(session, notes)
                inside.release()
                session.execute("SELECT pg_sleep(0.06)")
                session.commit()

    writers = [InThread(write) for _ in range(8)]
    for _ in writers:
        inside.acquire()
    try:
        assert advance(notes).after.stage is Stage.DUAL_WRITE
    finally:
        enough.set()
        for writer in writers:
            writer.outcome()


def test_whoever_reads_the_stage_in_the_fence_can_rely_on_it(notes: AnyMigration) -> None:
    advance(notes)
    with transaction.atomic():
        locks.enter_fence(notes)
        assert state.stage(notes) is Stage.DUAL_WRITE
        step = InThread(lambda: transitions.back(notes, Stage.OFF, actor="ben"))
        eventually(somebody_tries_the_fence)
        assert state.stage(notes) is Stage.DUAL_WRITE
    assert step.outcome().after.stage is Stage.OFF


def test_of_two_who_advance_at_once_one_wins_and_the_other_is_told(
    notes: AnyMigration, gate: Callable[[str, Evaluate], None]
) -> None:
    both_have_looked = threading.Barrier(2)
    looked = threading.local()

    def evaluator(_: AnyMigration) -> Gate:
        if not getattr(looked, "once", False):
            looked.once = True
            both_have_looked.wait(timeout=20)
        return Gate(id="preflight_clean", verdict=Verdict.PASS, message="Open.")

    gate("preflight_clean", evaluator)
    attempts = [InThread(lambda: advance(notes)) for _ in range(2)]
    outcomes: list[Any] = []
    for attempt in attempts:
        try:
            outcomes.append(attempt.outcome().after.stage)
        except StageChanged as error:
            outcomes.append(type(error))
    assert sorted(map(str, outcomes)) == sorted(map(str, [Stage.DUAL_WRITE, StageChanged]))
    assert HistoryEntry.objects.count() == 1


def test_who_holds_the_legacy_table_is_named_and_nobody_waits_long_behind_the_step(
    notes: AnyMigration, other: psycopg.Connection[Any], settings: Any
) -> None:
    settings.MIGRATION_OPS = {"SCHEMA_LOCK_PATIENCE": timedelta(seconds=1)}
    (row,) = schema.add_rows(("a", "t", "x"))
    other.execute("UPDATE legacy_notes SET body = 'y' WHERE id = %s", [row])
    step = InThread(lambda: advance(notes))
    longest = 0.0
    with second_connection() as user:
        user.autocommit = True
        user.execute("SET statement_timeout = '5s'")
        while step.is_alive():
            began = time.monotonic()
            user.execute("INSERT INTO legacy_notes (notebook, title, body) VALUES ('b', 't', 'x')")
            user.execute("SELECT count(*) FROM legacy_notes")
            longest = max(longest, time.monotonic() - began)
    with pytest.raises(FenceBusy, match=rf"(?s)got no lock.*pid {other.info.backend_pid} \('old worker'"):
        step.outcome()
    assert longest < 0.6
    assert not capture.status(notes).intact
    assert not HistoryEntry.objects.exists()


def test_a_step_gets_the_legacy_table_as_soon_as_it_is_free(
    notes: AnyMigration, other: psycopg.Connection[Any]
) -> None:
    other.execute("INSERT INTO legacy_notes (notebook, title, body) VALUES ('a', 't', 'x')")
    step = InThread(lambda: advance(notes))
    eventually(lambda: rows("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'legacy_notes'::regclass") != [])
    other.commit()
    assert step.outcome().after.stage is Stage.DUAL_WRITE


def test_a_step_killed_before_its_commit_never_happened(
    notes: AnyMigration, start_notes_command: Callable[..., Any]
) -> None:
    process = start_notes_command("stage", "advance", failpoint=transitions.CHANGED)
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert state.read(notes).version == 0
    assert not capture.status(notes).intact
    assert history.verify().entries == 0
    assert advance(notes).after.stage is Stage.DUAL_WRITE


def test_a_json_store_has_no_table_to_lock(notes: AnyMigration) -> None:
    class Polled(type(notes.legacy())):  # type: ignore[misc]
        captured_tables = ()

        def version(self) -> str:
            return "1"

    assert advance(replace(notes, legacy=Polled)).after.stage is Stage.DUAL_WRITE


def test_the_database_refuses_exactly_the_steps_that_are_not_in_the_data(notes: AnyMigration) -> None:
    MigrationState.objects.create(name=notes.name)
    allowed, refusals = set(), []
    for source in Stage:
        with transaction.atomic():
            run("ALTER TABLE migration_ops_migrationstate DISABLE TRIGGER migration_ops_state_guard")
            run("UPDATE migration_ops_migrationstate SET stage = %s, version = 7", source.value)
            run("SET CONSTRAINTS ALL IMMEDIATE")  # nobody alters a table whose changes are not in the history yet
            run("ALTER TABLE migration_ops_migrationstate ENABLE ALWAYS TRIGGER migration_ops_state_guard")
        for target in set(Stage) - {source}:
            try:
                with transaction.atomic():
                    run("UPDATE migration_ops_migrationstate SET stage = %s, version = 8", target.value)
                    allowed.add((source, target))
                    transaction.set_rollback(True)
            except IntegrityError as error:
                refusals.append(str(error))
    assert all("There is no step from" in refusal for refusal in refusals)
    assert allowed == {(step.source, step.target) for step in stages.TRANSITIONS}


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("UPDATE migration_ops_migrationstate SET stage = 'live', version = 1", "no step from off to live"),
        ("UPDATE migration_ops_migrationstate SET stage = 'dual_write'", "grows by one"),
        ("UPDATE migration_ops_migrationstate SET stage = 'dual_write', version = 2", "grows by one"),
        ("UPDATE migration_ops_migrationstate SET version = 9", "grows by one"),
        ("UPDATE migration_ops_migrationstate SET name = 'other'", "never renamed"),
        ("DELETE FROM migration_ops_migrationstate", "never deleted"),
        ("INSERT INTO migration_ops_migrationstate (name, stage) VALUES ('other', 'shadow')", "begins at stage off"),
    ],
)
def test_raw_sql_cannot_move_a_migration_past_the_rules(notes: AnyMigration, sql: str, sentence: str) -> None:
    MigrationState.objects.create(name=notes.name)
    with pytest.raises(IntegrityError, match=sentence):
        run(sql)


def test_truncating_the_state_is_refused(notes: AnyMigration) -> None:
    MigrationState.objects.create(name=notes.name)
    with transaction.atomic():
        run("SET LOCAL migration_ops.may_truncate = ''")
        with pytest.raises(IntegrityError, match="TRUNCATE is refused"), transaction.atomic():
            run("TRUNCATE migration_ops_migrationstate")


def test_a_change_by_sql_is_in_the_history_all_the_same(notes: AnyMigration) -> None:
    MigrationState.objects.create(name=notes.name)
    run("UPDATE migration_ops_migrationstate SET stage = 'dual_write', version = 1")
    run("UPDATE migration_ops_migrationstate SET kill = true")
    step, kill = HistoryEntry.objects.order_by("id")
    assert (step.verb, step.from_stage, step.to_stage) == ("changed by SQL", "off", "dual_write")
    assert step.actor == f"database role {connection.settings_dict['USER']}"
    assert kill.evidence["after"]["kill"] is True
    assert history.verify().ok
