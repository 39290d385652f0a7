"""What an alert can be about, as data; and the only things that may be said of it.

An alert travels to mailboxes and chat rooms. So nothing in it is free text: a problem, a subject out of a closed list,
and figures. What a child is called, whose a board is and what stands on it has no place to be put into.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from migration_ops.definition import Side
from migration_ops.observe.heartbeat import Role
from migration_ops.stages import TRANSITIONS


class Severity(StrEnum):
    """`critical` is worth waking somebody, `warning` is for the day."""

    WARNING = "warning"
    CRITICAL = "critical"


class Channel(StrEnum):
    """Where alerts go."""

    LOG = "log"
    MAIL = "mail"
    WEBHOOK = "webhook"


class Problem(StrEnum):
    """What is wrong; together with the migration and the subject it is the fingerprint of an alert."""

    GATE_FAILS = "gate_fails"
    """The evaluator last found that this gate fails, at the present step."""

    ROLLED_BACK = "rolled_back"
    """Reads went back by themselves, and nobody has done anything about it since. The subject is the history entry."""

    DIFFERENCES = "differences"
    """Documents differ between the two stores, and nobody has mended or explained it."""

    RUN_FAILED = "run_failed"
    """The run failed, or paused by itself: a person must act."""

    RUN_STRANDED = "run_stranded"
    """The run is said to be running, and nobody works on it."""

    SILENT = "silent"
    """No process with this role says that it is alive."""

    CAPTURE_GAPS = "capture_gaps"
    """Changes past the app of this side are not watched."""

    CAPTURE_LOST = "capture_lost"
    """Changes past the app could not be noted; which ones is not known."""

    DIRTY_OLD = "dirty_old"
    """A change has waited for long to be carried over."""

    SECOND_WRITES_FAIL = "second_writes_fail"
    """Second writes fail now."""

    OUTBOX_FAILS = "outbox_fails"
    """Alerts cannot be sent through this channel."""

    TEST = "test"
    """Nothing is wrong: somebody tries whether alerts arrive."""


_CRITICAL = frozenset(
    {Problem.ROLLED_BACK, Problem.CAPTURE_GAPS, Problem.CAPTURE_LOST, Problem.DIFFERENCES, Problem.GATE_FAILS}
)

_BLINKS = frozenset({Problem.RUN_STRANDED, Problem.SILENT, Problem.GATE_FAILS})
"""Problems that a deploy, a slice or one bad reading shows for a moment: they must last for `alert_patience`."""

FIGURES = frozenset({"count", "failed", "failing", "among", "age_seconds", "value", "threshold", "attempts"})
"""The names of figures. All of them are numbers."""

_WORDS: frozenset[str] = frozenset(
    {"", *(gate for step in TRANSITIONS for gate in step.gates), *Role, *Side, *Channel, "backfill", "validation"}
)
"""Subjects that are no numbers."""

_LONGEST_NUMBER = 19


def severity(problem: Problem) -> Severity:
    """How bad it is."""
    return Severity.CRITICAL if problem in _CRITICAL else Severity.WARNING


def patience(problem: Problem, usual: timedelta) -> timedelta:
    """How long it must last before anybody hears of it."""
    return usual if problem in _BLINKS else timedelta(0)


@dataclass(frozen=True, slots=True)
class Found:
    """A problem that is there now.

    Attributes:
        subject: what it is about: a gate, role, side, channel, or a number of ours.
        figures: numbers, by names of `FIGURES`.

    Raises:
        ValueError: something else was to be said of it.
    """

    problem: Problem
    subject: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        is_number = self.subject.isascii() and self.subject.isdigit() and len(self.subject) <= _LONGEST_NUMBER
        if not is_number and self.subject not in _WORDS:
            raise ValueError(f"{self.problem}: this subject is none of the closed list; alerts hold no free text.")
        for name, value in self.figures.items():
            if name not in FIGURES:
                raise ValueError(f"{self.problem}: there is no figure of this name; alerts hold no free text.")
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{self.problem}: {name} is no number; alerts hold no free text.")
