"""A gate that wants proof that only a small share of something is bad; pure."""

from __future__ import annotations

from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.statistics import Judgement, judge
from migration_ops.gates.wording import share


def gate_of(
    gate_id: str, k: int, n: int, threshold: float, *, what: str, advice: str = "", age: float | None = None
) -> Gate:
    """The gate, with `k` bad ones of `n`: open if less than the threshold is bad, with 95 % confidence.

    Args:
        what: what is bad, to be read after `3 of 4,000`, e.g. `reads failed`.
        advice: a sentence that says what to do about a failure.
        age: seconds since the evidence was collected.
    """
    found = judge(k, n, threshold)
    return Gate(
        id=gate_id,
        verdict=found.verdict,
        message=_sentence(k, n, found, share(threshold), what, advice),
        value=k / n if n else None,
        n=n,
        k=k,
        threshold=threshold,
        bound=found.lower if found.verdict is Verdict.FAIL else found.upper,
        age=age,
        clear=found.clear,
    )


def _sentence(k: int, n: int, found: Judgement, threshold: str, what: str, advice: str) -> str:
    counted = f"{k:,} of {n:,} {what}"
    if found.verdict is Verdict.PASS:
        return f"{counted}: with 95 % confidence fewer than {threshold} do."
    if found.verdict is Verdict.FAIL:
        return f"{counted}: with 95 % confidence more than {threshold} do. {advice}".strip()
    more = f"{found.missing:,} more" if n else f"{found.missing:,}"
    return f"{counted}; {more}, all good, are needed to say that fewer than {threshold} do."
