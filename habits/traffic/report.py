"""What one run has to say for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from habits.traffic.check import Checked
from habits.traffic.families import Family
from habits.traffic.open_loop import Times
from habits.traffic.schedule import Profile


@dataclass(slots=True)
class Tally:
    """What was sent and what came back; the times are of requests that were answered."""

    reads: int = 0
    writes: int = 0
    stale_reads: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    read_times: Times = field(default_factory=Times)
    write_times: Times = field(default_factory=Times)

    @property
    def failures(self) -> int:
        return sum(self.failed.values())


@dataclass(slots=True)
class Report:
    """Filled in as things become known.

    Attributes:
        owners, boards: whose traffic it was.
        unsent: requests that were due, but not sent before the run was over or interrupted.
        rate: requests a second that were answered or failed.
        left: lines that could not be taken off their boards again.
        ledger: where the ledger stays, if it does.
    """

    run: str = ""
    owners: int = 0
    boards: int = 0
    seconds: float = 0.0
    unsent: int = 0
    tally: Tally = field(default_factory=Tally)
    checked: Checked = field(default_factory=Checked)
    left: int = 0
    ledger: Path | None = None

    def families(self, found: Sequence[Family]) -> None:
        self.owners = len(found)
        self.boards = sum(len(family.boards) for family in found)

    def sent(self, tally: Tally, profile: Profile, seconds: float) -> None:
        self.tally = tally
        self.seconds = seconds
        self.unsent = profile.requests - tally.reads - tally.writes - tally.failures

    @property
    def different(self) -> bool:
        """Whether something was lost, doubled, changed, or read stale."""
        return bool(self.checked.findings or self.tally.stale_reads)

    @property
    def failed(self) -> bool:
        return bool(self.tally.failures or self.left)

    def as_json(self) -> dict[str, Any]:
        tally = self.tally
        everything = Times([*tally.read_times.seconds, *tally.write_times.seconds])
        answered = len(everything.seconds) + tally.failures
        return {
            "run": self.run,
            "owners": self.owners,
            "boards": self.boards,
            "seconds": round(self.seconds, 2),
            "rate": round(answered / self.seconds, 1) if self.seconds else 0.0,
            "writes": tally.writes,
            "reads": tally.reads,
            "failures": tally.failures,
            "failed": dict(tally.failed),
            "unsent": self.unsent,
            "p50_ms": everything.percentile(50),
            "p95_ms": everything.percentile(95),
            "read_p50_ms": tally.read_times.percentile(50),
            "read_p95_ms": tally.read_times.percentile(95),
            "write_p50_ms": tally.write_times.percentile(50),
            "write_p95_ms": tally.write_times.percentile(95),
            "served": dict(tally.served),
            "outcomes": dict(tally.outcomes),
            "stale_reads": tally.stale_reads,
            **self.checked.as_json(),
            "left": self.left,
            "ledger": None if self.ledger is None else str(self.ledger),
        }

    def sentences(self) -> list[str]:
        """What a person should know beside the numbers."""
        checked = self.checked
        if self.different:
            stays = f" The lines and the ledger {self.ledger} stay for you to look at." if self.ledger else ""
            said = [f"{len(checked.findings):,} faults, {self.tally.stale_reads:,} stale reads.{stays}"]
        else:
            said = [f"All of {checked.writes:,} acknowledged writes are where they belong."]
        if self.tally.failed:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.tally.failed.most_common())
            said.append(f"{self.tally.failures:,} requests failed: {reasons}.")
        if checked.uncertain:
            said.append(f"Of {checked.uncertain:,} writes nobody knows whether they were made.")
        if self.unsent:
            said.append(f"{self.unsent:,} requests were not sent in time.")
        if self.left:
            said.append(
                f"{self.left:,} lines could not be taken off again; `manage.py simulate_traffic --check {self.ledger}`"
                " tries once more."
            )
        return said
