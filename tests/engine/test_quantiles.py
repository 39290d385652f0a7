"""Quantiles of two histograms: bounded by ranks, compared only where the data says enough."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_ops.gates.gate import Verdict
from migration_ops.gates.quantiles import Interval, compare_p95, interval, ranks
from migration_ops.observe import histogram

DURATIONS = st.lists(st.floats(0, 200), max_size=300)


def counted(durations: list[float]) -> list[int]:
    counts = histogram.empty()
    for seconds in durations:
        counts[histogram.place(seconds)] += 1
    return counts


def spread(count: int, *, p95: float, seed: int = 1) -> list[int]:
    """So many durations as reads take them: most of them alike, a few much longer."""
    draw = random.Random(seed)
    return counted([p95 * math.exp(draw.gauss(0, 0.5) - 0.5 * 1.6449) for _ in range(count)])


def test_the_ranks_are_those_of_distribution_free_tolerance_limits() -> None:
    # Wilks (1941): the greatest of 59, the second greatest of 93, the third of 124 bound 95 % with 95 % confidence
    assert [ranks(n, 0.95, 0.95)[1] for n in (58, 59, 93, 124)] == [59, 59, 92, 122]
    assert ranks(0, 0.95, 0.95) == (0, 1)


@pytest.mark.parametrize("n", [1, 10, 59, 100])
@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(95, 100)])
def test_a_rank_is_on_the_wrong_side_no_more_often_than_it_says(n: int, share: Fraction) -> None:
    below = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    lowest, highest = ranks(n, float(share), 0.95)
    assert sum(below[:lowest]) <= Fraction(5, 100)  # fewer than `lowest` are at or below the quantile
    assert sum(below[highest:]) <= Fraction(5, 100)
    if lowest < n:
        assert sum(below[: lowest + 1]) > Fraction(5, 100)


@given(DURATIONS, st.sampled_from([0.5, 0.95]))
def test_the_interval_holds_what_was_measured_at_its_ranks(durations: list[float], share: float) -> None:
    found = interval(counted(durations), share, 0.95)
    lowest, highest = ranks(len(durations), share, 0.95)
    ordered = sorted(durations)
    if lowest:
        assert found.low <= ordered[lowest - 1]
    else:
        assert found.low == 0
    if highest <= len(durations):
        assert found.high >= ordered[highest - 1]
    else:
        assert found.high == math.inf


def test_an_interval_of_many_is_hardly_wider_than_a_bucket() -> None:
    found = interval(spread(100_000, p95=0.002), 0.95, 0.975)
    assert found.low < 0.002 < found.high < found.low * 1.1


def test_what_is_beyond_the_last_bucket_has_no_upper_end() -> None:
    assert interval(counted([500.0] * 100), 0.95, 0.95) == Interval(histogram.BOUNDS[-1], math.inf)


@pytest.mark.parametrize("count", [0, 1, 71])
def test_a_few_reads_prove_nothing_however_fast_they_were(count: int) -> None:
    found = compare_p95(counted([0.001] * count), counted([0.1] * count), 1.1)
    assert (found.verdict, found.clear) == (Verdict.INCONCLUSIVE, False)


def test_as_soon_as_the_ranks_are_there_a_clear_difference_is_seen() -> None:
    fast, slow = counted([0.001] * 72), counted([0.1] * 72)
    assert compare_p95(fast, slow, 1.1).verdict is Verdict.PASS
    assert (compare_p95(slow, fast, 1.1).verdict, compare_p95(slow, fast, 1.1).clear) == (Verdict.FAIL, False)
    fast, slow = counted([0.001] * 149), counted([0.1] * 149)
    assert not compare_p95(counted([0.1] * 148), counted([0.001] * 148), 1.1).clear
    assert compare_p95(slow, fast, 1.1).clear


@pytest.mark.parametrize(
    ("times", "verdict", "clear"),
    [
        (0.6, Verdict.PASS, False),
        (1.0, Verdict.PASS, False),
        (1.1, Verdict.INCONCLUSIVE, False),
        (1.25, Verdict.FAIL, True),
        (2.0, Verdict.FAIL, True),
    ],
)
def test_with_thirty_thousand_reads_a_tenth_more_is_told_from_as_fast(
    times: float, verdict: Verdict, clear: bool
) -> None:
    found = compare_p95(spread(30_000, p95=0.002 * times), spread(30_000, p95=0.002, seed=2), 1.1)
    assert (found.verdict, found.clear) == (verdict, clear)


def test_with_three_hundred_reads_as_fast_is_not_told_from_a_tenth_more() -> None:
    assert compare_p95(spread(300, p95=0.002), spread(300, p95=0.002, seed=2), 1.1).verdict is Verdict.INCONCLUSIVE


@given(st.integers(0, 320), st.integers(72, 10_000))
def test_the_same_on_both_sides_never_fails(number: int, count: int) -> None:
    counts = histogram.empty()
    counts[number] = count
    found = compare_p95(counts, counts, 1.1)
    assert found.verdict is (Verdict.PASS if number else Verdict.INCONCLUSIVE)  # nothing is known below the first bound
