"""How bad a difference is."""

from __future__ import annotations

from migration_ops.definition import Side
from migration_ops.models import Severity
from migration_ops.verify.compare import Kind, Verdict

ORDER = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
"""The worst first."""


def severity(verdict: Verdict, *, reads: Side, waiting: bool) -> Severity:
    """Judge a difference by what people see and by what could be lost.

    * low: a change of the document waits on the dirty list; the applier will carry it over.
    * critical: the store that answers has less than the other, a missing document or fewer marks. What people see is
      not all there is.
    * high: marks differ, or the other store lacks the document: a way back would lose it.
    * medium: something else differs.

    Args:
        reads: the store that answers for this document.
        waiting: the dirty list says that the document changed.
    """
    if waiting:
        return Severity.LOW
    tally = verdict.tally
    if verdict.kind in (Kind.MISSING_IN_LEGACY, Kind.MISSING_IN_MODERN):
        missing = Side.LEGACY if verdict.kind is Kind.MISSING_IN_LEGACY else Side.MODERN
        return Severity.CRITICAL if missing is reads else Severity.HIGH
    if tally is None:
        raise ValueError(f"A document that is {verdict.kind} has no severity.")
    cells = {Side.LEGACY: tally.cells_legacy, Side.MODERN: tally.cells_modern}
    if cells[reads] < cells[reads.other]:
        return Severity.CRITICAL
    return Severity.HIGH if tally.cells_equal < max(cells.values()) else Severity.MEDIUM
