"""Finds the one row of a batch that the modern database refuses, by halves. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bisection:
    """Where the refused row must be, and how far batches have grown again after the last one was found.

    Attributes:
        suspects: one of the next so many rows is refused; 0 while nothing is suspected.
        ceiling: no batch is longer than this; None without limit. Doubles with every batch that passes, so that a
            rare bad row costs little and many bad rows in a row do not cost a search each.
    """

    suspects: int = 0
    ceiling: int | None = None

    def limit(self, size: int) -> int:
        """Rows of the next batch, of which the throttle would allow `size`."""
        if self.suspects > 1:
            return min(size, (self.suspects + 1) // 2)
        if self.suspects == 1:
            return 1
        return size if self.ceiling is None else min(size, self.ceiling)

    def refused(self, rows: int) -> Bisection:
        """A batch of so many rows was refused; with one row it is found, and `set_aside` is next."""
        return Bisection(suspects=rows)

    def set_aside(self) -> Bisection:
        """The refused row is out of the way."""
        return Bisection(ceiling=1)

    def passed(self, rows: int, *, size: int) -> Bisection:
        """A batch of so many rows was committed."""
        if self.suspects > rows:
            return Bisection(suspects=self.suspects - rows)
        if self.suspects:
            return Bisection()
        if self.ceiling is None or self.ceiling * 2 >= size:
            return Bisection()
        return Bisection(ceiling=self.ceiling * 2)
