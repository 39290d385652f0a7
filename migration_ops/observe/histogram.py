"""Latency histograms with buckets on a logarithmic scale, so that histograms of many processes add up; pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

BUCKETS_A_DOUBLING = 16
"""Enough to hold one quantile against 1.1 times another: a bucket is 4.4 % wide, two are 9.1 %. With eight (9.1 %) two
equal stores would have to fall into the very same bucket, with four (19 %) nothing could be said at all."""

BOUNDS: tuple[float, ...] = tuple(
    0.0001 * 2 ** (step / BUCKETS_A_DOUBLING) for step in range(20 * BUCKETS_A_DOUBLING + 1)
)
"""Upper bounds in seconds, from 0.1 ms to 105 s: a quantile is known to within 4.4 %."""

SIZE = len(BOUNDS) + 1


def empty() -> list[int]:
    return [0] * SIZE


def place(seconds: float) -> int:
    """The bucket of this duration; the last one is for everything beyond the last bound."""
    return bisect_left(BOUNDS, seconds)


def merged(histograms: Sequence[Sequence[int]]) -> list[int]:
    """All of them in one; shorter ones are taken to end with zeros."""
    total = empty()
    for histogram in histograms:
        for number, count in enumerate(histogram):
            total[number] += count
    return total


def cumulative(histogram: Sequence[int], *, every: int) -> list[int]:
    """How many took at most as long as the first of the bounds, the `every`-th after it, and so on; in the end, all.

    Exact, since each of these bounds is one of `BOUNDS`; `every` divides their number but one.
    """
    running = list(accumulate(histogram))
    return [*running[: len(BOUNDS) : every], running[-1]]


def quantile(histogram: Sequence[int], share: float) -> float | None:
    """Seconds that this share of what was counted stays within, rounded up to the bucket's bound; None for nothing."""
    count = sum(histogram)
    if not count:
        return None
    wanted, seen = share * count, 0
    for number, here in enumerate(histogram):
        seen += here
        if seen >= wanted and here:
            return BOUNDS[min(number, len(BOUNDS) - 1)]
    return BOUNDS[-1]
