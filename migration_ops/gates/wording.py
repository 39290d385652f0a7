"""Numbers as the sentences of the gates show them; pure."""

from __future__ import annotations

import math
from datetime import timedelta

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def duration(length: timedelta | float) -> str:
    """A timedelta, or seconds, in the greatest unit of which it has two: `36 h`, `90 s`, `250 ms`."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1000:.0f} ms"


def share(rate: float) -> str:
    """A rate in per cent: `0.1 %`."""
    return f"{rate * 100:.3g} %"


def between(low: float, high: float) -> str:
    """Where a duration lies: `between 2.1 and 2.3 ms`."""
    if math.isinf(high):
        return f"at least {low * 1000:.3g} ms"
    return f"between {low * 1000:.3g} and {high * 1000:.3g} ms"
