"""Exact binomial bounds, held against published tables, exact arithmetic and what they promise."""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_ops.gates.gate import Verdict
from migration_ops.gates.statistics import CLEAR, CONFIDENCE, at_least, at_most, judge, lower, needed, upper

COUNTS = st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
CONFIDENCES = st.sampled_from([0.5, 0.9, 0.95, 0.975, 0.999])


def exactly_at_most(k: int, n: int, rate: Fraction) -> Fraction:
    return sum((math.comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k + 1)), Fraction(0))


@pytest.mark.parametrize(
    ("k", "n", "two_sided", "low", "high", "digits"),
    [
        # NIST/SEMATECH e-Handbook of Statistical Methods, section 7.2.4.1
        (4, 20, 0.90, 0.07135, 0.40103, 5),
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 5 (Clopper-Pearson)
        (81, 263, 0.95, 0.2527, 0.3676, 4),
        (15, 148, 0.95, 0.0578, 0.1617, 4),
        (0, 20, 0.95, 0.0000, 0.1684, 4),
        (1, 29, 0.95, 0.0009, 0.1776, 4),
        # Conover, Practical Nonparametric Statistics: by table, and the example that R's binom.test prints
        (5, 25, 0.95, 0.068, 0.407, 3),
        (682, 925, 0.95, 0.7076683, 0.7654066, 7),
    ],
)
def test_the_bounds_are_the_published_ones(
    k: int, n: int, two_sided: float, low: float, high: float, digits: int
) -> None:
    one_sided = (1 + two_sided) / 2
    assert (round(lower(k, n, one_sided), digits), round(upper(k, n, one_sided), digits)) == (low, high)


def test_so_many_are_needed_as_the_published_tables_say() -> None:
    # Wilks, Annals of Mathematical Statistics 12 (1941): 95 % of a population with 95 % confidence
    assert [needed(k, 0.05) for k in range(6)] == [59, 93, 124, 153, 181, 208]
    # The success run theorem, n = ln(1 − confidence) ÷ ln(reliability)
    assert needed(0, 0.001) == math.ceil(math.log(0.05) / math.log(0.999)) == 2_995
    assert [needed(k, 0.001) for k in (1, 2)] == [4_742, 6_294]


def test_the_rule_of_three_asks_for_a_little_more_than_the_exact_bound() -> None:
    # Hanley and Lippman-Hand, JAMA 249 (1983)
    for n in (30, 300, 3_000, 30_000):
        assert 0.94 < upper(0, n) / (3 / n) < 1


@pytest.mark.parametrize("n", [1, 2, 7, 30])
@pytest.mark.parametrize("confidence", [CONFIDENCE, CLEAR])
def test_at_a_bound_the_chance_of_what_was_seen_is_what_is_left_by_the_confidence(n: int, confidence: float) -> None:
    chance = 1 - Fraction(confidence)
    for k in range(n):
        bound = Fraction(upper(k, n, confidence))
        nearly = bound * (1 - Fraction(1, 10**9))
        assert exactly_at_most(k, n, bound) <= chance * (1 + Fraction(1, 10**12))
        assert exactly_at_most(k, n, nearly) > chance
    for k in range(1, n + 1):
        bound = Fraction(lower(k, n, confidence))
        nearly = bound * (1 + Fraction(1, 10**9))
        assert 1 - exactly_at_most(k - 1, n, bound) <= chance * (1 + Fraction(1, 10**12))
        assert 1 - exactly_at_most(k - 1, n, nearly) > chance


def at_most_by_decimals(k: int, n: int, rate: Decimal) -> Decimal:
    """The sum term by term, with sixty digits."""
    with localcontext(Context(prec=60)):
        term = (1 - rate) ** n
        total, odds = term, rate / (1 - rate)
        for i in range(k):
            term = term * (n - i) / (i + 1) * odds
            total += term
        return total


@pytest.mark.parametrize(
    ("k", "n"), [(0, 10**7), (1, 10**7), (13, 10**7), (9_700, 10**7), (15, 16), (300, 300_000), (2_500, 5_000)]
)
def test_the_bounds_are_right_to_nine_digits_however_many_were_looked_at(k: int, n: int) -> None:
    chance = Decimal(1) - Decimal(CONFIDENCE)
    high, nine_digits = Decimal(upper(k, n)), Decimal("1e-9")
    assert (
        at_most_by_decimals(k, n, high * (1 - nine_digits))
        > chance
        > at_most_by_decimals(k, n, high * (1 + nine_digits))
    )
    if k:
        low = Decimal(lower(k, n))
        assert 1 - at_most_by_decimals(k - 1, n, low * (1 - nine_digits)) < chance
        assert 1 - at_most_by_decimals(k - 1, n, low * (1 + nine_digits)) > chance


@pytest.mark.parametrize("rate", [0.001, 1 / 3, 0.95])
def test_chances_are_those_of_exact_arithmetic(rate: float) -> None:
    for n in (1, 2, 16, 40):
        for k in range(n + 1):
            assert at_most(k, n, rate) == pytest.approx(float(exactly_at_most(k, n, Fraction(rate))), rel=1e-12)
            more = float(1 - exactly_at_most(k - 1, n, Fraction(rate)))
            assert at_least(k, n, rate) == pytest.approx(more, rel=1e-11)


@given(COUNTS, CONFIDENCES)
def test_what_was_seen_lies_between_the_bounds(counted: tuple[int, int], confidence: float) -> None:
    k, n = counted
    assert 0 <= lower(k, n, confidence) <= k / n <= upper(k, n, confidence) <= 1


@given(COUNTS)
def test_more_bad_ones_raise_both_bounds_and_more_good_ones_lower_them(counted: tuple[int, int]) -> None:
    k, n = counted
    assert lower(k, n + 1) <= lower(k, n) <= lower(k + 1, n + 1)
    assert upper(k, n + 1) < upper(k, n) <= upper(k + 1, n + 1)


@given(COUNTS)
def test_more_confidence_asks_for_wider_bounds(counted: tuple[int, int]) -> None:
    k, n = counted
    assert lower(k, n, CLEAR) <= lower(k, n)
    assert upper(k, n) <= upper(k, n, CLEAR)


@given(COUNTS)
def test_what_is_bad_and_what_is_good_mirror_each_other(counted: tuple[int, int]) -> None:
    k, n = counted
    assert upper(k, n) == pytest.approx(1 - lower(n - k, n), abs=1e-12)


@pytest.mark.parametrize("n", [1, 5, 20, 40])
def test_a_bound_is_wrong_no_more_often_than_it_says(n: int) -> None:
    for rate in (Fraction(part, 200) for part in range(1, 200)):
        chances = [math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)]
        too_low = sum((chance for k, chance in enumerate(chances) if upper(k, n) < rate), Fraction(0))
        too_high = sum((chance for k, chance in enumerate(chances) if lower(k, n) > rate), Fraction(0))
        assert too_low <= 0.05
        assert too_high <= 0.05


@given(st.integers(0, 30), st.sampled_from([0.001, 0.01, 0.05, 0.3]))
def test_one_fewer_than_needed_is_not_enough(k: int, threshold: float) -> None:
    enough = needed(k, threshold)
    assert upper(k, enough) < threshold <= upper(k, enough - 1)


@pytest.mark.parametrize(
    ("k", "n", "verdict", "missing"),
    [
        (0, 0, Verdict.INCONCLUSIVE, 2_995),
        (0, 1_204, Verdict.INCONCLUSIVE, 1_791),
        (0, 2_994, Verdict.INCONCLUSIVE, 1),
        (0, 2_995, Verdict.PASS, 0),
        (1, 2_995, Verdict.INCONCLUSIVE, 1_747),
        (1, 4_741, Verdict.INCONCLUSIVE, 1),
        (1, 4_742, Verdict.PASS, 0),
        (1, 51, Verdict.FAIL, 4_691),
        (1, 52, Verdict.INCONCLUSIVE, 4_690),
    ],
)
def test_too_little_data_says_neither_yes_nor_no(k: int, n: int, verdict: Verdict, missing: int) -> None:
    found = judge(k, n, 0.001)
    assert (found.verdict, found.missing, found.clear) == (verdict, missing, False)


def test_three_requests_of_which_one_failed_are_no_clear_failure_and_three_of_three_are() -> None:
    assert (judge(1, 3, 0.001).verdict, judge(1, 3, 0.001).clear) == (Verdict.FAIL, False)
    assert judge(3, 3, 0.001).clear
    assert judge(20, 5_000, 0.001).clear


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_counts_that_cannot_be_are_refused(k: int, n: int) -> None:
    for bound in (upper, lower):
        with pytest.raises(ValueError, match="cannot be"):
            bound(k, n)


@pytest.mark.parametrize("confidence", [0.49, 1.0, 95.0])
def test_a_confidence_that_says_nothing_or_everything_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        upper(1, 5, confidence)


@pytest.mark.parametrize("threshold", [0.0, 1.0, 5.0])
def test_a_threshold_that_no_rate_can_cross_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        needed(0, threshold)
