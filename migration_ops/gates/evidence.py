"""The gates that look at what is there right now: in the catalog, on the lists of what waits, and at the ramp."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.db import connection
from django.db.models import Count, Min, Q

from migration_ops import preflight, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.gates.age import age_of
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.wording import duration, number, percent
from migration_ops.models import DirtyKey, QuarantineItem, QuarantineStatus
from migration_ops.rollout import plan
from migration_ops.sentence import joined, said, said_many
from migration_ops.stages import CAPTURING
from migration_ops.sync import capture


def preflight_clean(migration: AnyMigration) -> Gate:
    """No check of `preflight` fails; warnings do not close the gate."""
    return _preflight(preflight.run(migration))


def preflight_clean_by_catalog(migration: AnyMigration) -> Gate:
    """The same without the domain's own checks, which may read all of the legacy data."""
    return _preflight(preflight.run(migration, domain=False))


def _preflight(report: preflight.Report) -> Gate:
    failed = joined((joined((check.id, check.message), by=": ") for check in report.failed), by="; ")
    return _counted(
        "preflight_clean",
        len(report.failed),
        n=len(report.checks),
        good=said("No check of `manage.py preflight` fails."),
        bad=said("Checks of `manage.py preflight` fail: %(checks)s", checks=failed),
    )


def capture_intact(migration: AnyMigration) -> Gate:
    """Every change past the app is noticed, and none was lost since capture was last known to be whole."""
    stage = state.stage(migration)
    found = [capture.status(migration, side=side) for side in Side if stage in CAPTURING[side] or side is Side.LEGACY]
    missing = sum(len(status.gaps) for status in found) + found[0].lost
    message = next((status.message for status in found if not status.intact), found[0].message)
    return _counted("capture_intact", missing, n=sum(len(s.tables) for s in found), good=message, bad=message)


def quarantine_decided(migration: AnyMigration) -> Gate:
    """No quarantined row waits for a decision."""
    counts = QuarantineItem.objects.filter(migration=migration.name).aggregate(
        open=Count("pk", filter=Q(status=QuarantineStatus.OPEN)),
        decided=Count("pk", filter=Q(status=QuarantineStatus.ACCEPTED)),
    )
    waiting, accepted = counts["open"], counts["decided"]
    return _counted(
        "quarantine_decided",
        waiting,
        n=waiting + accepted,
        good=said_many(
            "No quarantined row waits for a decision; %(accepted)s was accepted and stays in legacy alone.",
            "No quarantined row waits for a decision; %(accepted)s were accepted and stay in legacy alone.",
            accepted,
            accepted=number(accepted),
        ),
        bad=said_many(
            "%(waiting)s quarantined row waits for a decision; see `manage.py quarantine list`.",
            "%(waiting)s quarantined rows wait for a decision; see `manage.py quarantine list`.",
            waiting,
            waiting=number(waiting),
        ),
    )


def dirty_keys_drained(migration: AnyMigration) -> Gate:
    """No key waits to be looked at again."""
    found = DirtyKey.objects.filter(migration=migration.name).aggregate(count=Count("pk"), oldest=Min("created_at"))
    oldest = age_of(found["oldest"])
    return _counted(
        "dirty_keys_drained",
        found["count"],
        age=oldest,
        good=said("Nothing waits to be applied."),
        bad=said_many(
            "%(count)s change waits to be applied, for %(oldest)s now; is `manage.py sync_changes --follow` running?",
            "%(count)s changes wait to be applied, the oldest for %(oldest)s; is `manage.py sync_changes --follow`"
            " running?",
            found["count"],
            count=number(found["count"]),
            oldest=duration(oldest or 0.0),
        ),
    )


def constraints_validated(migration: AnyMigration) -> Gate:
    """Every constraint of the modern tables is there and validated, and every unique index is valid."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname::text, convalidated FROM pg_constraint"
            " WHERE conrelid = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)"
            " UNION ALL SELECT relname::text, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indisunique AND indrelid = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)",
            [list(migration.modern_tables), list(migration.modern_tables)],
        )
        there = cursor.fetchall()
    names = {name for name, _ in there}
    missing = sorted(key.name for key in migration.foreign_keys if key.name not in names)
    not_valid = sorted({name for name, valid in there if not valid})
    return _counted(
        "constraints_validated",
        len(missing) + len(not_valid),
        n=len(names) + len(missing),
        good=said("Every constraint is validated."),
        bad=said(
            "Not validated: %(not_valid)s; missing: %(missing)s. Run `manage.py shadow_schema validate`.",
            not_valid=", ".join(not_valid) or said("none"),
            missing=", ".join(missing) or said("none"),
        ),
    )


def ramp_complete(migration: AnyMigration) -> Gate:
    """All units read modern at `ramp`."""
    reached = state.read(migration).percent
    return Gate(
        id="ramp_complete",
        verdict=Verdict.PASS if reached == plan.ALL else Verdict.FAIL,
        message=said("%(percent)s of the units read modern; the ramp goes on until all do.", percent=percent(reached)),
        value=float(reached),
        threshold=float(plan.ALL),
    )


EVALUATORS: Mapping[str, Callable[[AnyMigration], Gate]] = {
    evaluator.__name__: evaluator
    for evaluator in (
        preflight_clean,
        capture_intact,
        quarantine_decided,
        dirty_keys_drained,
        constraints_validated,
        ramp_complete,
    )
}
"""Evaluators by gate id."""

WHILE_WRITERS_WAIT: Mapping[str, Callable[[AnyMigration], Gate]] = {"preflight_clean": preflight_clean_by_catalog}
"""What is asked instead behind the fence, where the whole gate would take too long."""


def _counted(
    gate_id: str, bad_ones: int, *, good: str, bad: str, n: int | None = None, age: float | None = None
) -> Gate:
    """A gate that passes exactly when there are none of something."""
    return Gate(
        id=gate_id,
        verdict=Verdict.FAIL if bad_ones else Verdict.PASS,
        message=bad if bad_ones else good,
        value=bad_ones,
        n=n,
        k=bad_ones,
        threshold=0,
        age=age,
    )
