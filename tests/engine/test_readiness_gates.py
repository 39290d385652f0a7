"""The gates that ask for time and for somebody who watches: they hold, and never send anybody back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from migration_ops import gates, guards, history
from migration_ops.definition import AnyMigration
from migration_ops.gates import Verdict
from migration_ops.gates.wording import between, duration, share
from migration_ops.models import Heartbeat
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from tests.engine.korean import found
from tests.engine.syncing import begin_dual_write, go_to_live, go_to_ramp, run

DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)


@pytest.fixture
def synced(notes: AnyMigration) -> AnyMigration:
    begin_dual_write(notes)
    return notes


@pytest.mark.parametrize(
    ("percent", "verdict"),
    [(0, Verdict.PASS), (1, Verdict.PASS), (5, Verdict.PASS), (6, Verdict.INCONCLUSIVE), (50, Verdict.INCONCLUSIVE)],
)
def test_each_step_of_the_plan_has_its_soak(
    synced: AnyMigration, settings: Any, percent: int, verdict: Verdict
) -> None:
    settings.MIGRATION_OPS = {"RAMP_PLAN": [(5, INSTANT), (50, DAY), (100, DAY)]}
    go_to_ramp(synced, percent=percent)
    assert found(synced, "soak_elapsed").verdict is verdict


def test_a_soak_that_is_not_over_says_how_long_to_wait(synced: AnyMigration) -> None:
    go_to_ramp(synced, percent=5)
    gate = found(synced, "soak_elapsed")
    assert gate.message.startswith("ramp at 5 % has been watched for ")
    assert gate.message.endswith(" of 24 h; wait for 24 h more.")
    assert (gate.threshold, gate.value) == (86_400, pytest.approx(0, abs=60))


def test_the_soak_begins_anew_with_every_change_of_what_is_served(synced: AnyMigration) -> None:
    go_to_ramp(synced, percent=5)
    run("ALTER TABLE migration_ops_migrationstate DISABLE TRIGGER USER")
    run("UPDATE migration_ops_migrationstate SET stepped_at = stepped_at - interval '25 hours'")
    guards.install()
    gate = found(synced, "soak_elapsed")
    assert (gate.verdict, gate.message) == (
        Verdict.PASS,
        "ramp at 5 % has been watched for 25 h, and 24 h are enough.",
    )
    run("UPDATE migration_ops_migrationstate SET kill = true, version = version + 1")
    assert found(synced, "soak_elapsed").verdict is Verdict.INCONCLUSIVE


def test_live_is_watched_as_long_as_all_units_were(synced: AnyMigration, settings: Any) -> None:
    go_to_live(synced)
    assert found(synced, "soak_elapsed").verdict is Verdict.INCONCLUSIVE
    settings.MIGRATION_OPS = {"RAMP_PLAN": [(5, DAY), (100, INSTANT)]}
    assert found(synced, "soak_elapsed").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("silent", "verdict"), [(timedelta(seconds=30), Verdict.PASS), (timedelta(seconds=50), Verdict.INCONCLUSIVE)]
)
def test_the_evaluator_is_dead_when_three_evaluations_are_missing(
    synced: AnyMigration, silent: timedelta, verdict: Verdict
) -> None:
    assert found(synced, "evaluator_alive").message == (
        "The evaluator was never heard of, and must have been within 45 s: nobody would go back by itself."
    )
    heartbeat.beat(synced, Role.EVALUATOR)
    Heartbeat.objects.update(at=Now() - silent)
    assert found(synced, "evaluator_alive").verdict is verdict


def test_the_applier_is_no_evaluator(synced: AnyMigration) -> None:
    heartbeat.beat(synced, Role.APPLIER)
    assert found(synced, "evaluator_alive").verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("actor", "verb", "verdict"),
    [
        ("evaluator", "rollback", Verdict.INCONCLUSIVE),
        ("evaluator", "hold", Verdict.PASS),
        ("ann", "rollback", Verdict.PASS),
    ],
)
def test_only_going_back_by_itself_asks_for_cooling_down(
    synced: AnyMigration, settings: Any, actor: str, verb: str, verdict: Verdict
) -> None:
    assert found(synced, "cooled_down").verdict is Verdict.PASS
    history.append(synced, actor=actor, verb=verb)
    history.append(synced, actor="ann", verb="hold")
    gate = found(synced, "cooled_down")
    assert gate.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert gate.message.endswith("find out why, and wait for 60 min.")
    settings.MIGRATION_OPS = {"COOL_DOWN": INSTANT}
    assert found(synced, "cooled_down").verdict is Verdict.PASS


def test_none_of_them_fails_however_little_there_is(notes: AnyMigration) -> None:
    for gate_id in gates.readiness.EVALUATORS:
        assert found(notes, gate_id).verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0.0004, "0 ms"),
        (timedelta(milliseconds=100), "100 ms"),
        (90, "90 s"),
        (3_600, "60 min"),
        (timedelta(hours=24), "24 h"),
        (timedelta(days=3), "3 d"),
    ],
)
def test_durations_read_well(length: timedelta | float, words: str) -> None:
    assert duration(length) == words


def test_shares_and_ranges_read_well() -> None:
    assert [share(rate) for rate in (0.001, 0.05, 1 - 0.7)] == ["0.1 %", "5 %", "30 %"]
    assert between(0.0021, 0.00234) == "between 2.1 and 2.34 ms"
    assert between(0.0021, float("inf")) == "at least 2.1 ms"
