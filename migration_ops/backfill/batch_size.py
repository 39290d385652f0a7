"""How many rows the next batch should have, so that it takes the time it should take. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

FLOOR = 100
"""Slowness alone makes no batch smaller: below this the cost of a transaction outweighs its rows, and the smaller the
batches, the slower it gets, while users wait hardly less. Errors and a database that stays unwell do. With 25, a server
at five times its capacity drew a backfill down from thousands of rows a second to a hundred."""

GROWTH = 1.5
"""At most this much more from one batch to the next: a lucky measurement must not make users wait."""

RECOVERY = 0.3
"""How much of the way up the rate follows a batch that was faster; it follows a slower one at once. On a busy server
the speed goes up and down from batch to batch, and users wait for the slow ones."""

SHORTEST = 1e-6
"""Seconds; what a clock that did not move is taken for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """The size of the next batch, and the speed it was derived from.

    Attributes:
        size: rows, within `minimum` and `maximum`.
        target: seconds a batch should take; None where the operator fixed the size to `maximum`.
        rate: rows per second to count on; None before the first batch.
    """

    size: int
    minimum: int
    maximum: int
    target: float | None
    rate: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.size <= self.maximum:
            raise ValueError(f"A batch of {self.size} rows is not within {self.minimum} and {self.maximum}.")
        if self.target is not None and self.target <= 0:
            raise ValueError(f"A batch cannot take {self.target} seconds.")

    @classmethod
    def adaptive(cls, *, start: int, minimum: int, maximum: int, target: float) -> BatchSize:
        return cls(size=min(max(start, minimum), maximum), minimum=minimum, maximum=maximum, target=target)

    @classmethod
    def fixed(cls, rows: int) -> BatchSize:
        """Always this many, except after a timeout or lock error."""
        return cls(size=rows, minimum=1, maximum=rows, target=None)

    def after(self, *, rows: int, seconds: float) -> BatchSize:
        """A batch of so many rows took so long."""
        if rows < 1:
            return self
        speed = rows / max(seconds, SHORTEST)
        rate = speed if self.rate is None else min(speed, self.rate + RECOVERY * (speed - self.rate))
        grown = max(self.size + 1, int(self.size * GROWTH))
        return replace(self, rate=rate, size=self._bounded(min(self._wanted(rate), grown)))

    def aimed(self, target: float) -> BatchSize:
        """From now on batches should take so many seconds; one whose size the operator fixed stays as it is."""
        if self.target is None or self.target == target:
            return self
        aimed = replace(self, target=target)
        size = self.size if self.rate is None else min(self.size, aimed._wanted(self.rate))
        return replace(aimed, size=self._bounded(size))

    def halved(self, rows: int) -> BatchSize:
        """A batch of up to so many rows was in somebody's way or timed out."""
        return replace(self, size=self._bounded(min(self.size, rows) // 2))

    def smallest(self) -> BatchSize:
        """The database stays unwell: as little at a time as there is."""
        return replace(self, size=self.minimum)

    def _wanted(self, rate: float) -> int:
        return self.maximum if self.target is None else max(FLOOR, int(rate * self.target))

    def _bounded(self, rows: int) -> int:
        return min(max(rows, self.minimum), self.maximum)
