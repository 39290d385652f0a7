"""Somebody says that they know: the alert is not repeated any more, and resolves by itself as before."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Now

from migration_ops import history
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import Alert, AlertStatus
from migration_ops.sentence import said

VERB = "acknowledge alert"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The alert as it is now, or with a dry run would be; `changed` unless somebody had acknowledged it before."""

    alert: Alert
    changed: bool


def acknowledge(
    migration: AnyMigration, number: int, *, actor: str, reason: str = "", dry_run: bool = False
) -> Acknowledged:
    """Acknowledge an open alert, with an entry in the history. Who did so first stays.

    Raises:
        UnusableInput: there is none of this number that is not resolved; or nobody is named.
    """
    with transaction.atomic():
        alert = Alert.objects.select_for_update().filter(migration=migration.name, pk=number).first()
        if alert is None or alert.status not in (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED):
            raise UnusableInput(
                said(
                    "%(migration)s has no open alert %(number)s; `manage.py alerts list` shows them.",
                    migration=migration.name,
                    number=str(number),
                )
            )
        if alert.status == AlertStatus.ACKNOWLEDGED or dry_run:
            return Acknowledged(alert, changed=alert.status == AlertStatus.OPEN)
        Alert.objects.filter(pk=number).update(
            status=AlertStatus.ACKNOWLEDGED,
            acknowledged_at=Now(),
            acknowledged_by=actor,
            reason=reason,
            repeat_at=None,
        )
        evidence = {"alert": alert.pk, "problem": alert.problem, "subject": alert.subject}
        history.append(migration, actor=actor, verb=VERB, reason=reason, evidence=evidence)
    alert.refresh_from_db()
    return Acknowledged(alert, changed=True)
