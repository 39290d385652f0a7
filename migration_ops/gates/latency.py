"""The gate that wants modern reads to be no slower than legacy ones, by reads that both stores were asked for."""

from __future__ import annotations

from migration_ops import state
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.quantiles import P95, compare_p95
from migration_ops.gates.wording import between, share
from migration_ops.observe import histogram, totals
from migration_ops.observe.measures import What

ENOUGH = 20_000
"""Reads that are looked at, the newest ones: at the width of a bucket more would not tell more."""

_GOAL = {Verdict.PASS: "is met", Verdict.FAIL: "is not met", Verdict.INCONCLUSIVE: "is not proven yet"}


def read_latency(migration: AnyMigration) -> Gate:
    """At the present step p95 of modern is at most `read_latency_ratio` times p95 of legacy; and whether the goal of
    the migration, `read_latency_goal`, is met, which is no condition."""
    step, ratio, goal = state.read(migration).step, settings().read_latency_ratio, settings().read_latency_goal
    window = settings().evidence_window
    modern, legacy = (
        totals.latencies(migration, What.PAIRED_READ, side, within=window, step=step, enough=ENOUGH)
        for side in (Side.MODERN, Side.LEGACY)
    )
    found = compare_p95(modern.counts, legacy.counts, ratio)
    n = min(sum(modern.counts), sum(legacy.counts))
    said = {
        Verdict.PASS: f"modern takes at most {ratio:g} times as long",
        Verdict.FAIL: f"modern takes more than {ratio:g} times as long",
        Verdict.INCONCLUSIVE: f"more reads are needed to say whether modern takes at most {ratio:g} times as long",
    }[found.verdict]
    promised = _GOAL[compare_p95(modern.counts, legacy.counts, goal).verdict]
    return Gate(
        id="read_latency",
        verdict=found.verdict,
        message=f"p95 of modern is {between(found.new.low, found.new.high)}, of legacy"
        f" {between(found.old.low, found.old.high)}, with 95 % confidence, by {n:,} reads of both at this step: {said}."
        f" The goal of {share(1 - goal)} less {promised}.",
        value=_ratio(histogram.quantile(modern.counts, P95), histogram.quantile(legacy.counts, P95)),
        n=n,
        threshold=ratio,
        bound=_ratio(found.new.high, found.old.low),
        age=modern.age,
        clear=found.clear,
    )


def _ratio(new: float | None, old: float | None) -> float | None:
    """How many times as long; None where that is not known."""
    return new / old if new is not None and old and new != float("inf") else None
