"""What a clean sample proves; pure."""

from __future__ import annotations

MISSED = 0.05
"""The chance to overlook such a share; one minus the confidence."""


def power(compared: int) -> float | None:
    """The share of differing documents that a clean sample of this size would have seen with 95 % confidence.

    If a share p of all documents differs, n random ones are all equal with probability (1 − p)ⁿ. That falls to 5 % at
    p = 1 − 0.05^(1/n); the "rule of three" 3/n approximates it. 3,000 clean documents say "fewer than one in 1,000".
    None where nothing was compared: that proves nothing.
    """
    if compared < 1:
        return None
    return float(1 - MISSED ** (1 / compared))
