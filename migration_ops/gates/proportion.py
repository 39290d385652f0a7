"""A gate that wants proof that only a small share of something is bad; pure."""

from __future__ import annotations

from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.statistics import Judgement, judge
from migration_ops.gates.wording import number, share
from migration_ops.sentence import Sentence, joined, said


def gate_of(
    gate_id: str, k: int, n: int, threshold: float, *, counted: str, advice: str = "", age: float | None = None
) -> Gate:
    """The gate, with `k` bad ones of `n`: open if less than the threshold is bad, with 95 % confidence.

    Args:
        counted: what was found, e.g. `3 of 4,000 reads failed`; what is said about it is added.
        advice: a sentence that says what to do about a failure.
        age: seconds since the evidence was collected.
    """
    found = judge(k, n, threshold)
    return Gate(
        id=gate_id,
        verdict=found.verdict,
        message=_sentence(n, found, share(threshold), counted, advice),
        value=k / n if n else None,
        n=n,
        k=k,
        threshold=threshold,
        bound=found.lower if found.verdict is Verdict.FAIL else found.upper,
        age=age,
        clear=found.clear,
    )


def _sentence(n: int, found: Judgement, threshold: str, counted: str, advice: str) -> Sentence:
    about = {"counted": counted, "threshold": threshold}
    if found.verdict is Verdict.PASS:
        return said("%(counted)s: with 95 %% confidence fewer than %(threshold)s do.", **about)
    if found.verdict is Verdict.FAIL:
        failed = said("%(counted)s: with 95 %% confidence more than %(threshold)s do.", **about)
        return joined((failed, advice)) if advice else failed
    missing = number(found.missing)
    if not n:
        return said(
            "%(counted)s; %(missing)s, all good, are needed to say that fewer than %(threshold)s do.",
            missing=missing,
            **about,
        )
    return said(
        "%(counted)s; %(missing)s more, all good, are needed to say that fewer than %(threshold)s do.",
        missing=missing,
        **about,
    )
