"""What is sent: the same few fields for every channel, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migration_ops.alerts import wording
from migration_ops.alerts.problems import Found, Problem, severity
from migration_ops.models import Alert

FIELDS = ("alert", "event", "migration", "problem", "subject", "severity", "figures", "since")
"""Every field of a payload."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One message.

    Attributes:
        alert: the number of the alert; 0 for a test.
        migration: the declared name of the migration, which is an identifier in the code.
        since: when the problem was first seen, in ISO 8601.
    """

    alert: int
    event: str
    migration: str
    found: Found
    since: str

    @property
    def title(self) -> str:
        """One line, in English."""
        return f"[{self.migration}] {wording.EVENTS[self.event]} ({severity(self.found.problem)}, alert {self.alert})"

    @property
    def text(self) -> str:
        """What is wrong and since when, in English."""
        return f"{wording.sentence(self.found)}\nSince {self.since}."

    def as_dict(self) -> dict[str, Any]:
        """As the outbox keeps it."""
        return {
            "alert": self.alert,
            "event": self.event,
            "migration": self.migration,
            "problem": self.found.problem.value,
            "subject": self.found.subject,
            "severity": severity(self.found.problem).value,
            "figures": dict(self.found.figures),
            "since": self.since,
        }


def of_alert(alert: Alert, event: str) -> Payload:
    """What to say of this alert now."""
    return Payload(alert.pk, event, alert.migration, found_in(alert), _moment(alert.since))


def found_in(alert: Alert) -> Found:
    """The problem as the alert keeps it."""
    return Found(Problem(alert.problem), alert.subject, alert.figures)


def read(kept: Mapping[str, Any]) -> Payload:
    """What the outbox kept.

    Raises:
        KeyError, ValueError: somebody else wrote it.
    """
    found = Found(Problem(kept["problem"]), kept["subject"], kept["figures"])
    return Payload(int(kept["alert"]), kept["event"], kept["migration"], found, kept["since"])


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
