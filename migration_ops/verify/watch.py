"""What is done about drift in the background, hour after hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from migration_ops import gates, state
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.gates.gate import Verdict
from migration_ops.models import UNSETTLED, Difference, Severity
from migration_ops.schedule import Periodically
from migration_ops.stages import SYNCED
from migration_ops.verify import retention
from migration_ops.verify.drift import Drift, detect
from migration_ops.verify.repair import Repair, repair_these

ACTOR = "scheduler"


def interval() -> timedelta:
    """How often there is a look."""
    return settings().drift_interval


HOURLY = Periodically(name="detect_drift", every=interval, job="migration_ops.jobs.detect_drift")

AUTHORITY = "authority"


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of one look.

    Attributes:
        drift: None where there was nothing to compare yet, or no longer.
        repair: None where the policy leaves differences to people, or where there were none.
    """

    drift: Drift | None = None
    repair: Repair | None = None


def watch(migration: AnyMigration) -> Watched:
    """Detect drift, repair what the policy says (`drift_repair`), and throw away what is old.

    Does nothing before a backfill of everything has succeeded, when documents are missing because they are yet to
    come, and nothing where the stores are not kept in step.

    Raises:
        LeaseHeld: somebody else detects drift at this moment.
    """
    retention.purge()
    if not due(migration):
        return Watched()
    drift = detect(migration, actor=ACTOR)
    if settings().drift_repair != AUTHORITY:
        return Watched(drift)
    found = Difference.objects.filter(run=drift.run, status__in=UNSETTLED).exclude(
        severity__in=[Severity.CRITICAL, Severity.LOW]
    )
    if not found.exists():
        return Watched(drift)
    reason = f"Policy {AUTHORITY!r}: drift run {drift.run.pk}."
    return Watched(drift, repair_these(migration, found.order_by("pk").iterator(), actor=ACTOR, reason=reason))


def due(migration: AnyMigration) -> bool:
    """Whether the two stores are there and should be equal."""
    if state.stage(migration) not in SYNCED:
        return False
    (backfill,) = gates.evaluate(migration, ["backfill_complete"])
    return backfill.verdict is Verdict.PASS
