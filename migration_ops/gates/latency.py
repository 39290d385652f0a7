"""The gate that wants modern reads to be no slower than legacy ones, by reads that both stores were asked for."""

from __future__ import annotations

from migration_ops import state
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.quantiles import P95, Comparison, compare_p95
from migration_ops.gates.wording import between, number, share
from migration_ops.observe import histogram, totals
from migration_ops.observe.measures import What
from migration_ops.sentence import Sentence, joined, said

ENOUGH = 20_000
"""Reads that are looked at, the newest ones: at the width of a bucket more would not tell more."""


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
    promised = _goal(compare_p95(modern.counts, legacy.counts, goal).verdict, share(1 - goal))
    return Gate(
        id="read_latency",
        verdict=found.verdict,
        message=joined((_compared(found, n, f"{ratio:g}"), promised)),
        value=_ratio(histogram.quantile(modern.counts, P95), histogram.quantile(legacy.counts, P95)),
        n=n,
        threshold=ratio,
        bound=_ratio(found.new.high, found.old.low),
        age=modern.age,
        clear=found.clear,
    )


def _compared(found: Comparison, n: int, ratio: str) -> Sentence:
    measured = {
        "modern": between(found.new.low, found.new.high),
        "legacy": between(found.old.low, found.old.high),
        "n": number(n),
        "ratio": ratio,
    }
    if found.verdict is Verdict.PASS:
        return said(
            "p95 of modern is %(modern)s, of legacy %(legacy)s, with 95 %% confidence, by %(n)s reads of both at this"
            " step: modern takes at most %(ratio)s times as long.",
            **measured,
        )
    if found.verdict is Verdict.FAIL:
        return said(
            "p95 of modern is %(modern)s, of legacy %(legacy)s, with 95 %% confidence, by %(n)s reads of both at this"
            " step: modern takes more than %(ratio)s times as long.",
            **measured,
        )
    return said(
        "p95 of modern is %(modern)s, of legacy %(legacy)s, with 95 %% confidence, by %(n)s reads of both at this"
        " step: more reads are needed to say whether modern takes at most %(ratio)s times as long.",
        **measured,
    )


def _goal(verdict: Verdict, less: str) -> Sentence:
    if verdict is Verdict.PASS:
        return said("The goal of %(share)s less is met.", share=less)
    if verdict is Verdict.FAIL:
        return said("The goal of %(share)s less is not met.", share=less)
    return said("The goal of %(share)s less is not proven yet.", share=less)


def _ratio(new: float | None, old: float | None) -> float | None:
    """How many times as long; None where that is not known."""
    return new / old if new is not None and old and new != float("inf") else None
