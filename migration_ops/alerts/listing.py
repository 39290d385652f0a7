"""Selectors: the alerts there are, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migration_ops.alerts import payload, wording
from migration_ops.definition import AnyMigration
from migration_ops.models import Alert, AlertStatus

UNRESOLVED = (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED)
TOLD = (*UNRESOLVED, AlertStatus.RESOLVED)


@dataclass(frozen=True, slots=True)
class Item:
    """One alert, as a list shows it.

    Attributes:
        message: a sentence; pages can say it in another language.
        unsent: messages of it that wait, were tried in vain, or were given up.
    """

    id: int
    problem: str
    subject: str
    severity: str
    status: str
    since: datetime
    message: str
    acknowledged_by: str
    unsent: int

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"since": self.since.isoformat()}


def listing(migration: AnyMigration, *, statuses: Sequence[str] = UNRESOLVED, limit: int = 100) -> list[Item]:
    """The alerts of this migration with one of these statuses, the newest first."""
    alerts = Alert.objects.filter(migration=migration.name, status__in=statuses).order_by("-id")[:limit]
    return [item(alert) for alert in alerts]


def item(alert: Alert) -> Item:
    """This alert, as a list shows it."""
    return Item(
        id=alert.pk,
        problem=alert.problem,
        subject=alert.subject,
        severity=alert.severity,
        status=alert.status,
        since=alert.since,
        message=wording.sentence(payload.found_in(alert)),
        acknowledged_by=alert.acknowledged_by,
        unsent=alert.messages.filter(sent_at=None).count(),
    )


def count_open(migration: AnyMigration) -> int:
    """How many nobody has acknowledged."""
    return Alert.objects.filter(migration=migration.name, status=AlertStatus.OPEN).count()
