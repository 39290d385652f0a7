"""What so many bad ones among so many say about a rate: exact binomial bounds, after Clopper and Pearson (1934); pure.

Exact means that no approximation of the distribution is made: a bound at 95 % is wrong at most once in twenty, however
few were looked at and however rare the bad ones are. `upper(k, n)` is the rate at which `k` or fewer bad ones among `n`
would turn up with a chance of 5 % only, `lower(k, n)` the one at which `k` or more would.

"Fewer than 0.1 % are bad", at 95 %, is thereby said by 0 bad ones of 2,995, by 1 of 4,742, by 2 of 6,294. The "rule of
three" of Hanley and Lippman-Hand (1983), 3 ÷ n, asks for a few more than the first: 3,001.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from migration_ops.gates.gate import Verdict

CONFIDENCE = 0.95
"""What a gate needs to say yes or no."""

CLEAR = 0.999
"""What it needs to say no so clearly that something is undone without asking anybody."""

_EXACT = 15
_NEGLIGIBLE = 1e-17
_CLOSE = 1e-13


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is known of a rate that has to stay under a threshold.

    Attributes:
        verdict: `pass` if the rate is below the threshold, `fail` if it is above, each with 95 % confidence; between
            the two it is not known.
        clear: it is above with 99.9 % confidence.
        upper, lower: the bounds of the rate, each with 95 % confidence.
        missing: so many more, all of them good, would be needed for `pass`; 0 where it has passed.
    """

    verdict: Verdict
    clear: bool
    upper: float
    lower: float
    missing: int


def judge(k: int, n: int, threshold: float) -> Judgement:
    """Whether `k` bad ones among `n` prove a rate below the threshold, or above it, or neither.

    Raises:
        ValueError: `k` is no count out of `n`, or the threshold is not between 0 and 1.
    """
    high, low = upper(k, n), lower(k, n)
    missing = max(0, needed(k, threshold) - n)
    if not missing:
        verdict = Verdict.PASS
    elif low > threshold:
        verdict = Verdict.FAIL
    else:
        verdict = Verdict.INCONCLUSIVE
    return Judgement(verdict=verdict, clear=lower(k, n, CLEAR) > threshold, upper=high, lower=low, missing=missing)


def upper(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """The rate that is not exceeded, with this confidence, where `k` of `n` were bad; to a relative error below 1e-9.

    One-sided: the upper end of a two-sided interval of 90 % is `upper(k, n, 0.95)`.

    Raises:
        ValueError: `k` is no count out of `n`, or the confidence is not in 0.5 ≤ confidence < 1.
    """
    chance = _chance(k, n, confidence)
    if k == n:
        return 1.0
    low = k / n
    high, step = low, 1 / n
    while high < 1 and at_most(k, n, high) > chance:
        low, high, step = high, min(1.0, high + step), step * 2
    while high - low > _CLOSE * high:
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(k, n, middle) > chance else (low, middle)
    return high


def lower(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """The rate that is reached at least, with this confidence, where `k` of `n` were bad; otherwise as `upper`."""
    chance = _chance(k, n, confidence)
    if k == 0:
        return 0.0
    high = low = k / n
    while at_least(k, n, low) > chance:
        high, low = low, low / 2
    while high - low > _CLOSE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if at_least(k, n, middle) > chance else (middle, high)
    return low


def needed(k: int, threshold: float, confidence: float = CONFIDENCE) -> int:
    """The smallest number among which `k` bad ones prove, with this confidence, a rate below the threshold.

    Raises:
        ValueError: `k` is negative, the threshold is not between 0 and 1, or the confidence not in
            0.5 ≤ confidence < 1.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"A threshold for a rate lies between 0 and 1, not at {threshold}.")
    chance = _chance(k, k, confidence)
    too_few, enough = k, k + 1
    while at_most(k, enough, threshold) >= chance:
        too_few, enough = enough, enough * 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (middle, enough) if at_most(k, middle, threshold) >= chance else (too_few, middle)
    return enough


def at_once(confidence: float) -> float:
    """The confidence of each of two statements that both hold with `confidence`, however they depend on each other."""
    return (1 + confidence) / 2


def at_most(k: int, n: int, rate: float) -> float:
    """The chance of `k` or fewer bad ones among `n` at this rate, for 0 ≤ k ≤ n."""
    if k < n * rate:
        return _chance_of(k, n, rate) * math.fsum(_onwards(k, n, (1 - rate) / rate))
    return 1 - (at_least(k + 1, n, rate) if k < n else 0.0)


def at_least(k: int, n: int, rate: float) -> float:
    """The chance of `k` or more bad ones among `n` at this rate, for 0 ≤ k ≤ n."""
    if k > n * rate:
        return _chance_of(k, n, rate) * math.fsum(_onwards(n - k, n, rate / (1 - rate)))
    return 1 - (at_most(k - 1, n, rate) if k > 0 else 0.0)


def _onwards(k: int, n: int, odds: float) -> Iterator[float]:
    """The chances of k, k − 1, … of one kind among `n` as shares of the first, for as long as they count.

    Args:
        odds: of the other kind.
    """
    term, total = 1.0, 0.0
    while term > _NEGLIGIBLE * total:
        yield term
        total += term
        term *= k / (n - k + 1) * odds
        k -= 1


def _chance_of(k: int, n: int, rate: float) -> float:
    """The chance of exactly `k` bad ones among `n`; after Loader (2000), so that nothing is lost however large `n` is.

    The textbook's way, through logarithms of factorials, loses eight digits at ten million.
    """
    if k == 0:
        return math.exp(n * math.log1p(-rate)) if rate < 1 else float(n == 0)
    if k == n:
        return rate**n
    if not 0 < rate < 1:
        return 0.0
    exponent = _beyond_stirling(n) - _beyond_stirling(k) - _beyond_stirling(n - k)
    exponent -= _deviance(k, n * rate) + _deviance(n - k, n * (1 - rate))
    return math.sqrt(n / (2 * math.pi * k * (n - k))) * math.exp(exponent)


def _beyond_stirling(n: int) -> float:
    """What Stirling's formula is short of, of the logarithm of n!, for n ≥ 1."""
    if n <= _EXACT:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi)
    square = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / n


def _deviance(count: float, expected: float) -> float:
    """count · ln(count ÷ expected) + expected − count, without rounding away what is left where they are close."""
    off = count - expected
    return count * math.log1p(off / expected) - off


def _chance(k: int, n: int, confidence: float) -> float:
    """What is left to chance."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} bad ones among {n} cannot be.")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"A confidence is at least 0.5 and less than 1, not {confidence}.")
    return 1 - confidence
