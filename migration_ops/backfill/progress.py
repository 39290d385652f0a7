"""How far a run is, as a value; honest where the end is not known. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migration_ops.backfill.counters import Counters


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A moment of a run.

    Attributes:
        counters: of the whole run.
        total: rows expected, roughly; None where nobody knows, or where more were read than expected.
        seconds: worked so far.
        speed: rows per second at the latest; 0.0 before the first batch.
        hold_reason: why it holds back; "" when it does not.
    """

    counters: Counters
    total: int | None
    seconds: float
    speed: float
    hold_reason: str = ""

    @classmethod
    def of(cls, counters: Counters, *, expected: int | None, seconds: float, hold_reason: str = "") -> Progress:
        known = expected if expected is not None and expected >= counters.rows_read else None
        speed = counters.speed or (counters.rows_read / seconds if seconds > 0 else 0.0)
        return cls(counters=counters, total=known, seconds=seconds, speed=speed, hold_reason=hold_reason)

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; None when the total is not known."""
        if self.total is None:
            return None
        return self.counters.rows_read / self.total if self.total else 1.0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left at the present speed; None when the total is not known or nothing moves."""
        if self.total is None or self.speed <= 0:
            return None
        return (self.total - self.counters.rows_read) / self.speed

    def as_dict(self) -> dict[str, Any]:
        eta = self.eta_seconds
        return {
            "total": self.total,
            "fraction": None if self.fraction is None else round(self.fraction, 4),
            "eta_seconds": None if eta is None else round(eta, 1),
        }
