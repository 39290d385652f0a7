"""The evaluator: keeps what the gates say, holds on failure, and takes reads back when it is clear."""

from __future__ import annotations

import signal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from migration_ops import history, state
from migration_ops.definition import AnyMigration
from migration_ops.gates import Verdict
from migration_ops.models import GateReading
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.rollout import control, evaluator, self_test
from migration_ops.stages import Stage
from tests.database import database_url
from tests.engine.syncing import go_to_live, rows
from tests.engine.waiting import eventually


@pytest.fixture
def exposed(ramp: AnyMigration, good_evidence: None) -> AnyMigration:
    control.set_percent(ramp, Decimal(5), actor="ann", reason="test", override=True)
    return ramp


def test_every_gate_is_kept_with_its_evidence(exposed: AnyMigration) -> None:
    assert evaluator.evaluate(exposed).done == ""
    kept = {reading.gate: reading for reading in GateReading.objects.all()}
    assert {"validation_clean", "read_errors", "read_latency", "soak_elapsed"} <= kept.keys()
    assert kept["read_errors"].step == state.read(exposed).step
    assert kept["read_errors"].evidence["message"] == "The test says pass."
    assert heartbeat.age(exposed, Role.EVALUATOR) < 60


@pytest.mark.parametrize("gate", evaluator.TAKES_BACK)
def test_a_clear_failure_takes_reads_back_at_once_and_holds(
    exposed: AnyMigration, gate_says: Callable[..., None], gate: str
) -> None:
    gate_says(gate, Verdict.FAIL, clear=True)
    assert evaluator.evaluate(exposed).done == control.AUTOMATIC
    now = state.read(exposed)
    assert (now.stage, now.percent, now.hold) == (Stage.RAMP, 0, True)
    (entry, *_) = history.entries(exposed)
    assert (entry.actor, entry.verb) == ("evaluator", control.AUTOMATIC)
    assert gate in entry.reason
    assert [(found["id"], found["verdict"]) for found in entry.evidence["gates"]] == [(gate, "fail")]


def test_a_failure_that_is_not_clear_holds_and_the_third_in_a_row_takes_back(
    exposed: AnyMigration, gate_says: Callable[..., None]
) -> None:
    gate_says("read_latency", Verdict.FAIL)
    assert evaluator.evaluate(exposed).done == "hold"
    assert state.read(exposed).percent == 5
    assert evaluator.evaluate(exposed).done == ""
    assert evaluator.evaluate(exposed).done == control.AUTOMATIC


def test_failures_with_a_better_one_between_them_are_not_in_a_row(
    exposed: AnyMigration, gate_says: Callable[..., None]
) -> None:
    for verdict in (Verdict.FAIL, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.FAIL):
        gate_says("read_errors", verdict)
        assert evaluator.evaluate(exposed).done != control.AUTOMATIC


def test_failures_of_another_step_do_not_count(exposed: AnyMigration, gate_says: Callable[..., None]) -> None:
    gate_says("read_errors", Verdict.FAIL)
    evaluator.evaluate(exposed)
    evaluator.evaluate(exposed)
    control.set_percent(exposed, Decimal(3), actor="ann")
    assert evaluator.evaluate(exposed).done != control.AUTOMATIC


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_what_is_not_known_neither_promotes_nor_takes_back(
    exposed: AnyMigration, gate_says: Callable[..., None], verdict: Verdict
) -> None:
    for gate in evaluator.HOLDS:
        gate_says(gate, verdict)
    for _ in range(4):
        assert evaluator.evaluate(exposed).done == ""
    assert (state.read(exposed).percent, state.read(exposed).hold) == (5, False)


@pytest.mark.parametrize("gate", ["dual_write_success", "sync_lag"])
def test_writes_and_lag_hold_and_do_not_take_back(
    exposed: AnyMigration, gate_says: Callable[..., None], gate: str
) -> None:
    gate_says(gate, Verdict.FAIL, clear=True)
    assert [evaluator.evaluate(exposed).done for _ in range(4)] == ["hold", "", "", ""]


def test_where_nobody_reads_modern_nothing_is_taken_back(ramp: AnyMigration, gate_says: Callable[..., None]) -> None:
    gate_says("shadow_reads_clean", Verdict.FAIL, clear=True)
    assert evaluator.evaluate(ramp).done == ""
    assert not state.read(ramp).hold


def test_from_live_reads_go_back_as_well(
    shadow: AnyMigration, good_evidence: None, gate_says: Callable[..., None]
) -> None:
    go_to_live(shadow)
    gate_says("read_errors", Verdict.FAIL, clear=True)
    assert evaluator.evaluate(shadow).done == control.AUTOMATIC
    now = state.read(shadow)
    assert (now.stage, now.percent, now.hold, now.kill) == (Stage.RAMP, 0, True, False)


def test_it_runs_until_it_is_told_to_end(ramp: AnyMigration, start_notes_command: Callable[..., Any]) -> None:
    process = start_notes_command("rollout", "evaluate", "--follow", "--json")
    eventually(lambda: heartbeat.age(ramp, Role.EVALUATOR) is not None)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert rows("SELECT count(*) > 0 FROM migration_ops_gatereading") == [(True,)]


def test_a_kill_is_seen_by_every_process_within_a_second(ramp: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url())
    seen = self_test.run(ramp, processes=2)
    assert len(seen.milliseconds) == 2
    assert 0 < seen.last < 1_000
    assert self_test.last_figure(ramp).evidence["last_ms"] == round(seen.last, 1)
    assert not state.read(ramp).kill
