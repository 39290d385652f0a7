"""What a backfill counts. Pure.

`rows_read == written + unchanged + merged + quarantined`, always.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from migration_ops.definition import Page, Saved


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Of a range, or of a whole run.

    Attributes:
        rows_read: legacy rows.
        written: documents that had to be written.
        unchanged: documents that were there already.
        merged: rows folded into a document that another row leads.
        quarantined: rows rejected, and rows held because of such a row.
        held: rows of documents that the modern database refused, which their own pages count as merged.
        speed: rows per second at the latest, of all workers that are at it.
    """

    rows_read: int = 0
    written: int = 0
    unchanged: int = 0
    merged: int = 0
    quarantined: int = 0
    held: int = 0
    speed: float = 0.0

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        return cls(**stored)

    @classmethod
    def total(cls, stored: Iterable[Mapping[str, Any]]) -> Self:
        """The sum over ranges, with the held rows where they belong."""
        parts = [cls.of(each) for each in stored]
        held = sum(part.held for part in parts)
        return cls(
            rows_read=sum(part.rows_read for part in parts),
            written=sum(part.written for part in parts),
            unchanged=sum(part.unchanged for part in parts),
            merged=sum(part.merged for part in parts) - held,
            quarantined=sum(part.quarantined for part in parts) + held,
            speed=sum(part.speed for part in parts),
        )

    def plus(self, page: Page[Any, Any], saved: Saved, *, refused: int = 0, held: int = 0) -> Counters:
        """After one more page: what became of its documents, and of `refused` ones of which it held the leading row."""
        return Counters(
            rows_read=self.rows_read + page.rows,
            written=self.written + saved.written,
            unchanged=self.unchanged + saved.unchanged,
            merged=self.merged + page.merged_rows,
            quarantined=self.quarantined + len(page.rejections) + refused,
            held=self.held + held,
            speed=self.speed,
        )

    def stored(self) -> dict[str, Any]:
        return asdict(self)
