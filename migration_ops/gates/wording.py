"""Numbers as the sentences of the gates show them; pure."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

from migration_ops.sentence import Sentence, said


def duration(length: timedelta | float) -> Sentence:
    """A timedelta, or seconds, in the greatest unit of which it has two: `36 h`, `90 s`, `250 ms`."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds >= 2 * 86_400:
        return said("%(n)s d", n=f"{seconds / 86_400:.0f}")
    if seconds >= 2 * 3_600:
        return said("%(n)s h", n=f"{seconds / 3_600:.0f}")
    if seconds >= 2 * 60:
        return said("%(n)s min", n=f"{seconds / 60:.0f}")
    if seconds >= 2:
        return said("%(n)s s", n=f"{seconds:.0f}")
    return said("%(n)s ms", n=f"{seconds * 1000:.0f}")


def spelled(length: timedelta) -> str:
    """A timedelta to the second, as Python writes it: `1 day, 2:30:00`."""
    days, rest = f"{length.days}", str(length - timedelta(days=length.days))
    if length.days == 1:
        return said("%(days)s day, %(rest)s", days=days, rest=rest)
    return said("%(days)s days, %(rest)s", days=days, rest=rest) if length.days else rest


def number(count: int) -> str:
    """A count with its thousands set apart: `1,360`."""
    return f"{count:,}"


def percent(value: Decimal) -> str:
    """A percentage without zeros that say nothing: `12.5 %`."""
    return f"{value.normalize():f} %"


def share(rate: float) -> str:
    """A rate in per cent: `0.1 %`."""
    return f"{rate * 100:.3g} %"


def between(low: float, high: float) -> Sentence:
    """Where a duration lies: `between 2.1 and 2.3 ms`."""
    if math.isinf(high):
        return said("at least %(low)s ms", low=f"{low * 1000:.3g}")
    return said("between %(low)s and %(high)s ms", low=f"{low * 1000:.3g}", high=f"{high * 1000:.3g}")
