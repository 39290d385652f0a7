"""Whether everything that was acknowledged is in both stores, once, as it was acknowledged; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from habits.board import DAYS
from habits.traffic.ledger import Line, possible
from habits.traffic.sources import Found, StoredLine
from migration_ops.definition import Side

SHOWN = 100
"""Findings in the report; all of them count."""


class Fault(StrEnum):
    """What can be wrong with a line."""

    LOST = "lost"
    """It was acknowledged, and no store has it."""

    MISSING_IN_LEGACY = "missing_in_legacy"
    MISSING_IN_MODERN = "missing_in_modern"
    """It is in the other store alone."""

    DOUBLED = "doubled"
    """A store has it more than once."""

    DIFFERENT = "different"
    """A store says something that was not acknowledged last, or has it on another board."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        name: of the line.
        path: where on it, e.g. `times[3]`; "" for the line as such.
        expected: what it may say there.
        stores: what each store that counts says.
    """

    fault: Fault
    name: str
    owner: str
    child: str
    week_start: str
    path: str = ""
    expected: tuple[str, ...] = ()
    stores: Mapping[str, str | None] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "fault": self.fault.value,
            "name": self.name,
            "owner": self.owner,
            "child": self.child,
            "week_start": self.week_start,
            "path": self.path,
            "expected": list(self.expected),
            **self.stores,
        }


@dataclass(slots=True)
class Checked:
    """What the ledger and the stores said in the end.

    Attributes:
        writes: acknowledged ones that were looked for.
        uncertain: of which nobody knows whether they were made; the stores must agree on them all the same.
        held: lines on boards that legacy alone has.
    """

    writes: int = 0
    uncertain: int = 0
    held: int = 0
    findings: list[Finding] = field(default_factory=list)

    def count(self, fault: Fault) -> int:
        return sum(finding.fault is fault for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        faults = {fault.value: self.count(fault) for fault in Fault}
        return {
            "checked": self.writes,
            "uncertain": self.uncertain,
            "held": self.held,
            **faults,
            "mismatched": len(self.findings) - faults[Fault.LOST],
            "findings": [finding.as_json() for finding in self.findings[:SHOWN]],
        }


def compare(lines: Iterable[Line], stores: Mapping[Side, Found], legacy_alone: Collection[Any]) -> list[Finding]:
    """What is wrong with these lines.

    Args:
        stores: the lines of each store that should have them at this stage.
        legacy_alone: keys of boards that modern is not to have, because a row of them is in quarantine.
    """
    findings: list[Finding] = []
    for line in lines:
        sides = [side for side in stores if side is Side.LEGACY or line.key not in legacy_alone]
        found = {side: stores[side].get(line.added.name, []) for side in sides}
        findings += _presence(line, found)
        findings += _content(line, {side: copies[0] for side, copies in found.items() if len(copies) == 1})
    return findings


def _presence(line: Line, found: Mapping[Side, list[StoredLine]]) -> list[Finding]:
    counts = {side.value: str(len(copies)) for side, copies in found.items()}
    missing = [side for side, copies in found.items() if not copies]
    findings = []
    if any(len(copies) > 1 for copies in found.values()):
        findings.append(_finding(line, Fault.DOUBLED, expected=("1",), stores=counts))
    if len(missing) == len(found):
        if line.must_be_there():
            findings.append(_finding(line, Fault.LOST, expected=("1",), stores=counts))
    elif missing:
        fault = Fault.MISSING_IN_LEGACY if Side.LEGACY in missing else Fault.MISSING_IN_MODERN
        findings.append(_finding(line, fault, expected=("1",), stores=counts))
    return findings


def _content(line: Line, found: Mapping[Side, StoredLine]) -> list[Finding]:
    findings = []
    owner, child, monday = line.key
    for side, stored in found.items():
        place = stored.owner, stored.child, stored.monday or monday
        if place != (str(owner), child, monday):
            where = " · ".join(map(str, place))
            findings.append(_finding(line, Fault.DIFFERENT, path="board", stores={side.value: where}))
    for day in range(DAYS):
        said = {side.value: _mark(stored, day) for side, stored in found.items()}
        allowed = possible(line.cell(day))
        if any(status not in allowed for status in said.values()) or len(set(said.values())) > 1:
            expected = tuple(sorted(allowed))
            findings.append(_finding(line, Fault.DIFFERENT, path=f"times[{day}]", expected=expected, stores=said))
    return findings


def _mark(stored: StoredLine, day: int) -> str:
    """A mark that the store lacks, or has too many of, is none that could be right."""
    return stored.times[day] if len(stored.times) == DAYS else f"{len(stored.times)} marks"


def _finding(
    line: Line,
    fault: Fault,
    *,
    path: str = "",
    expected: tuple[str, ...] = (),
    stores: Mapping[str, str | None],
) -> Finding:
    owner, child, monday = line.key
    return Finding(fault, line.added.name, str(owner), child, monday.isoformat(), path, expected, stores)
