"""The gate of the latency, on planted pairs of reads."""

from __future__ import annotations

from datetime import timedelta

import pytest

from migration_ops import state
from migration_ops.definition import AnyMigration, Side
from migration_ops.gates import Gate, Verdict
from migration_ops.observe import totals
from migration_ops.observe.measures import What
from tests.engine import korean
from tests.engine.planting import count
from tests.engine.syncing import begin_dual_write, go_to_ramp
from tests.engine.test_quantiles import spread


@pytest.fixture
def ramped(notes: AnyMigration) -> AnyMigration:
    begin_dual_write(notes)
    go_to_ramp(notes, percent=5)
    return notes


def found(migration: AnyMigration) -> Gate:
    return korean.found(migration, "read_latency")


def pairs(
    migration: AnyMigration,
    number: int,
    *,
    times: float,
    step: int | None = None,
    ago: timedelta = timedelta(minutes=9),
) -> None:
    """So many reads of both stores, of which modern took so many times as long."""
    at = state.read(migration).step if step is None else step
    for seed, (side, p95) in enumerate({"legacy": 0.003, "modern": 0.003 * times}.items()):
        count(migration, "paired_read", side=side, step=at, ago=ago, buckets=spread(number, p95=p95, seed=seed))


def test_without_pairs_nothing_is_known(ramped: AnyMigration) -> None:
    gate = found(ramped)
    assert (gate.verdict, gate.n, gate.value, gate.bound, gate.age) == (Verdict.INCONCLUSIVE, 0, None, None, None)
    assert "more reads are needed to say whether modern takes at most 1.1 times as long" in gate.message
    assert gate.message.endswith("The goal of 30 % less is not proven yet.")


def test_a_few_pairs_prove_nothing(ramped: AnyMigration) -> None:
    pairs(ramped, 71, times=0.1)
    gate = found(ramped)
    assert (gate.verdict, gate.n) == (Verdict.INCONCLUSIVE, 71)


@pytest.mark.parametrize(
    ("times", "verdict", "goal"),
    [
        (0.5, Verdict.PASS, "is met"),
        (0.7, Verdict.PASS, "is not proven yet"),
        (0.95, Verdict.PASS, "is not met"),
        (1.1, Verdict.INCONCLUSIVE, "is not met"),
        (1.5, Verdict.FAIL, "is not met"),
    ],
)
def test_the_gate_says_whether_modern_is_slower_and_whether_the_goal_is_met(
    ramped: AnyMigration, times: float, verdict: Verdict, goal: str
) -> None:
    pairs(ramped, 19_000, times=times)
    gate = found(ramped)
    assert gate.verdict is verdict
    assert gate.message.endswith(f"The goal of 30 % less {goal}.")
    assert (gate.n, gate.threshold, gate.clear) == (19_000, 1.1, verdict is Verdict.FAIL)
    assert gate.value == pytest.approx(times, rel=0.07)
    assert gate.bound is not None
    assert gate.value < gate.bound < gate.value * 1.2
    assert gate.age is not None
    assert 480 < gate.age < 700


def test_the_sentence_shows_both_in_milliseconds(ramped: AnyMigration) -> None:
    pairs(ramped, 19_000, times=0.5)
    assert found(ramped).message.startswith("p95 of modern is between 1.4")
    assert "of legacy between 2.9" in found(ramped).message


@pytest.mark.parametrize(("step", "ago"), [(-1, timedelta(minutes=1)), (0, timedelta(hours=25))])
def test_pairs_of_an_older_step_or_of_the_day_before_prove_nothing(
    ramped: AnyMigration, step: int, ago: timedelta
) -> None:
    pairs(ramped, 19_000, times=0.5, step=state.read(ramped).step + step, ago=ago)
    assert found(ramped).n == 0


def test_the_newest_pairs_count_and_no_more_than_are_enough(ramped: AnyMigration) -> None:
    pairs(ramped, 15_000, times=3, ago=timedelta(hours=20))
    pairs(ramped, 15_000, times=3, ago=timedelta(hours=10))
    pairs(ramped, 10_000, times=0.5, ago=timedelta(hours=2))
    pairs(ramped, 15_000, times=0.5, ago=timedelta(hours=1))
    gate = found(ramped)
    assert (gate.verdict, gate.n) == (Verdict.PASS, 25_000)


def test_latencies_of_one_store_are_not_those_of_the_other(ramped: AnyMigration) -> None:
    count(ramped, "paired_read", side="modern", times=3, step=7)
    span = {"within": timedelta(hours=1), "step": 7, "enough": 100}
    modern, legacy = (totals.latencies(ramped, What.PAIRED_READ, side, **span) for side in (Side.MODERN, Side.LEGACY))
    assert (sum(modern.counts), sum(legacy.counts)) == (3, 0)
