"""Judges documents of one key from both stores, and counts; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from migration_ops.definition import AnyMigration, FieldDifference


class Kind(StrEnum):
    """What a key turned out to be: equal, unequal in one of three ways, or in neither store (any more)."""

    MATCHED = "matched"
    MISMATCHED = "mismatched"
    MISSING_IN_MODERN = "missing_in_modern"
    MISSING_IN_LEGACY = "missing_in_legacy"
    ABSENT = "absent"

    @property
    def is_difference(self) -> bool:
        return self not in (Kind.MATCHED, Kind.ABSENT)


@dataclass(slots=True)
class Tally:
    """Counters of a validation; every legacy document is in exactly one of matched, mismatched, missing_in_modern.

    Attributes:
        legacy_rows: rows read on the legacy side, each once.
        modern_documents: documents read on the modern side while looking for extras.
        rows_quarantined: legacy rows that are rejected or held.
        sampled: documents that were chosen at random.
        cells_legacy, cells_modern, cells_equal: values worth counting, per side and common to both.
    """

    legacy_rows: int = 0
    modern_documents: int = 0
    matched: int = 0
    mismatched: int = 0
    missing_in_modern: int = 0
    missing_in_legacy: int = 0
    rows_quarantined: int = 0
    sampled: int = 0
    cells_legacy: int = 0
    cells_modern: int = 0
    cells_equal: int = 0

    @classmethod
    def from_json(cls, counters: Mapping[str, int]) -> Tally:
        return cls(**{name: counters[name] for name in _COUNTERS if name in counters})

    def as_json(self) -> dict[str, int]:
        return asdict(self)

    def add(self, other: Tally) -> None:
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def compared(self) -> int:
        """Legacy documents that should be in the modern store."""
        return self.matched + self.mismatched + self.missing_in_modern

    @property
    def differences(self) -> int:
        return self.mismatched + self.missing_in_modern + self.missing_in_legacy

    @property
    def success_rate(self) -> float | None:
        """Percentage of documents, of either side, that are equal on both; None where there are none."""
        everything = self.compared + self.missing_in_legacy
        return 100 * self.matched / everything if everything else None


_COUNTERS = tuple(field.name for field in fields(Tally))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one key is, the fields that differ if it is `mismatched`, and its part of the counters."""

    kind: Kind
    fields: tuple[FieldDifference, ...] = ()
    tally: Tally | None = None


def judge(migration: AnyMigration, legacy: Any | None, modern: Any | None) -> Verdict:
    """Compare two documents of one key; None is a document that the store does not have."""
    if legacy is None:
        if modern is None:
            return Verdict(Kind.ABSENT)
        return Verdict(Kind.MISSING_IN_LEGACY, (), Tally(missing_in_legacy=1, cells_modern=migration.marks(modern)))
    marks = migration.marks(legacy)
    if modern is None:
        return Verdict(Kind.MISSING_IN_MODERN, (), Tally(missing_in_modern=1, cells_legacy=marks))
    different = migration.differences(legacy, modern)
    if not different:
        return Verdict(Kind.MATCHED, (), Tally(matched=1, cells_legacy=marks, cells_modern=marks, cells_equal=marks))
    cells = Tally(
        mismatched=1,
        cells_legacy=marks,
        cells_modern=migration.marks(modern),
        cells_equal=migration.equal_marks(legacy, modern),
    )
    return Verdict(Kind.MISMATCHED, tuple(different), cells)


def compare(migration: AnyMigration, legacy: Iterable[Any], modern: Mapping[Any, Any]) -> tuple[Tally, dict[Any, Kind]]:
    """Compare a page of legacy documents with the modern ones of the same keys.

    Returns:
        the counters of the equal documents, and what the others seem to be. These are suspects, not differences yet:
        they are counted once they have been looked at again.
    """
    marks = migration.marks
    differences = migration.differences
    matched = cells = 0
    suspects: dict[Any, Kind] = {}
    for document in legacy:
        other = modern.get(document.key)
        if other is None:
            suspects[document.key] = Kind.MISSING_IN_MODERN
        elif not differences(document, other):
            matched += 1
            cells += marks(document)
        else:
            suspects[document.key] = Kind.MISMATCHED
    return Tally(matched=matched, cells_legacy=cells, cells_modern=cells, cells_equal=cells), suspects
