"""What a gate measured, with its units; pure.

The one place that knows in what each gate measures: the control room and the commands both ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from migration_ops.gates.wording import duration, number, percent, share
from migration_ops.sentence import Sentence, said, said_many

Spoken = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Units:
    """How a gate's numbers are said.

    Attributes:
        measured: its value, threshold and bound.
        counted: how many were looked at, and how many of them were bad.
    """

    measured: Spoken
    counted: Spoken


def _seconds(value: float) -> Sentence:
    return duration(value)


def _share(value: float) -> str:
    return share(value)


def _percent(value: float) -> str:
    return percent(Decimal(str(value)))


def _times(value: float) -> Sentence:
    return said("%(n)s times", n=f"{value:.3g}")


def _run(value: int) -> Sentence:
    return said("run %(n)s", n=str(value))


def _rows(count: int) -> Sentence:
    return said_many("%(n)s row", "%(n)s rows", count, n=number(count))


def _checks(count: int) -> Sentence:
    return said_many("%(n)s check", "%(n)s checks", count, n=number(count))


def _tables(count: int) -> Sentence:
    return said_many("%(n)s table", "%(n)s tables", count, n=number(count))


def _documents(count: int) -> Sentence:
    return said_many("%(n)s document", "%(n)s documents", count, n=number(count))


def _differences(count: int) -> Sentence:
    return said_many("%(n)s difference", "%(n)s differences", count, n=number(count))


def _changes(count: int) -> Sentence:
    return said_many("%(n)s change", "%(n)s changes", count, n=number(count))


def _constraints(count: int) -> Sentence:
    return said_many("%(n)s constraint", "%(n)s constraints", count, n=number(count))


def _processes(count: int) -> Sentence:
    return said_many("%(n)s process", "%(n)s processes", count, n=number(count))


def _writes(count: int) -> Sentence:
    return said_many("%(n)s write", "%(n)s writes", count, n=number(count))


def _reads(count: int) -> Sentence:
    return said_many("%(n)s read", "%(n)s reads", count, n=number(count))


def _measurements(count: int) -> Sentence:
    return said_many("%(n)s measurement", "%(n)s measurements", count, n=number(count))


def _gaps(count: int) -> Sentence:
    return said_many("%(n)s gap", "%(n)s gaps", count, n=number(count))


def _bare(value: Any) -> str:
    """Of a gate that others brought: the number as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


UNITS: Mapping[str, Units] = {
    "preflight_clean": Units(_checks, _checks),
    "capture_intact": Units(_gaps, _tables),
    "backfill_complete": Units(_run, _rows),
    "quarantine_decided": Units(_rows, _rows),
    "validation_clean": Units(_differences, _documents),
    "dirty_keys_drained": Units(_changes, _changes),
    "constraints_validated": Units(_constraints, _constraints),
    "processes": Units(_processes, _processes),
    "dual_write_success": Units(_share, _writes),
    "shadow_reads_clean": Units(_share, _reads),
    "read_errors": Units(_share, _reads),
    "read_latency": Units(_times, _reads),
    "sync_lag": Units(_share, _measurements),
    "evaluator_alive": Units(_seconds, _measurements),
    "cooled_down": Units(_seconds, _measurements),
    "soak_elapsed": Units(_seconds, _measurements),
    "ramp_complete": Units(_percent, _measurements),
    "plan_followed": Units(_percent, _measurements),
}
"""By gate id."""

_UNKNOWN = Units(_bare, _bare)


def figures(gate: Mapping[str, Any]) -> list[tuple[Sentence, str]]:
    """The numbers of a gate, as `Gate.as_dict` has them: what each is, and how much. What is not known is left out."""
    units = UNITS.get(gate["id"], _UNKNOWN)
    bad = None if gate["k"] == gate["value"] else gate["k"]  # a gate that counts bad ones says so once
    parts: tuple[tuple[Sentence, Any, Spoken], ...] = (
        (said("value"), gate["value"], units.measured),
        (said("threshold"), gate["threshold"], units.measured),
        (said("bound"), gate["bound"], units.measured),
        (said("looked at"), gate["n"], units.counted),
        (said("bad ones"), bad, units.counted),
        (said("age"), gate["age"], _seconds),
    )
    return [(name, spoken(found)) for name, found, spoken in parts if found is not None]
