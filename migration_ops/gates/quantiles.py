"""What two latency histograms say about two quantiles, without a word about how latencies are distributed; pure.

The r-th smallest of n durations lies at or below the true quantile `share` with the chance that r or more of n fall
there, which is binomial whatever the distribution (David and Nagaraja, *Order Statistics*, section 7.1). So two ranks
bound the quantile, and the edges of the buckets they fall into bound it honestly, however coarse the buckets are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from migration_ops.gates.gate import Verdict
from migration_ops.gates.statistics import CLEAR, CONFIDENCE, at_least, at_most, at_once
from migration_ops.observe import histogram

P95 = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Seconds between which a quantile lies; the upper end is infinite where too little was measured to say."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How the quantile of one store compares with that of another.

    Attributes:
        verdict: `pass` if the new one is at most `ratio` times the old one, `fail` if it is more, each with 95 %
            confidence; between the two it is not known.
        clear: it is more, with 99.9 % confidence.
        new, old: where the two lie; both at once with the confidence of the verdict.
    """

    verdict: Verdict
    clear: bool
    new: Interval
    old: Interval


def compare_p95(new: Sequence[int], old: Sequence[int], ratio: float) -> Comparison:
    """Whether 95 % of the new durations stay within `ratio` times what 95 % of the old ones stay within.

    The error is shared by the two intervals, so that nothing is assumed about how the two sets depend on each other;
    they may be pairs. Too little data is `inconclusive`.

    Args:
        new, old: counts by bucket of `observe.histogram`.
    """
    mine, other = (interval(counts, P95, at_once(CONFIDENCE)) for counts in (new, old))
    slowest, fastest = (interval(counts, P95, at_once(CLEAR)) for counts in (new, old))
    if mine.high <= ratio * other.low:
        verdict = Verdict.PASS
    elif mine.low > ratio * other.high:
        verdict = Verdict.FAIL
    else:
        verdict = Verdict.INCONCLUSIVE
    return Comparison(verdict=verdict, clear=slowest.low > ratio * fastest.high, new=mine, old=other)


def interval(counts: Sequence[int], share: float, confidence: float) -> Interval:
    """Where the quantile lies: not below `low`, and not above `high`, each with this confidence."""
    lowest, highest = ranks(sum(counts), share, confidence)
    return Interval(_edges(counts, lowest).low, _edges(counts, highest).high)


def ranks(n: int, share: float, confidence: float) -> tuple[int, int]:
    """Ranks, from 1, of the durations that bound the quantile from below and from above, each with this confidence.

    0, or n + 1, where not even the smallest, or the greatest, of so few says anything.
    """
    lowest = _last(n, lambda rank: at_least(rank, n, share) >= confidence)
    highest = 1 + _last(n, lambda rank: at_most(rank - 1, n, share) < confidence)
    return lowest, highest


def _last(n: int, holds: Callable[[int], bool]) -> int:
    """The greatest rank from 1 to n for which it holds, given that it holds for all before; 0 for none."""
    low, high = 0, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _edges(counts: Sequence[int], rank: int) -> Interval:
    """Between which durations the one of this rank lies."""
    if rank == 0:
        return Interval(0.0, math.inf)
    seen = 0
    for number, here in enumerate(counts):
        seen += here
        if seen >= rank:
            low = histogram.BOUNDS[number - 1] if number else 0.0
            return Interval(low, histogram.BOUNDS[number] if number < len(histogram.BOUNDS) else math.inf)
    return Interval(0.0, math.inf)
