"""The gates that rest on what preflight, capture, backfill, quarantine and validation found or left in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Count, Min, Q

from migration_ops import conf, preflight, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.wording import duration, number, percent, spelled
from migration_ops.models import (
    UNSETTLED,
    DirtyKey,
    QuarantineItem,
    QuarantineStatus,
    Run,
    RunKind,
    RunStatus,
    Severity,
)
from migration_ops.sentence import Sentence, joined, said, said_many, word
from migration_ops.stages import CAPTURING
from migration_ops.sync import capture
from migration_ops.verify import explained, lifecycle

_ALL = Decimal(100)

MISMATCHES = ("mismatched", "missing_in_modern", "missing_in_legacy")


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


def backfill_complete(migration: AnyMigration) -> Gate:
    """A backfill of everything began after capture was switched on, and succeeded."""
    name = "backfill_complete"
    run = _last_whole_backfill(migration)
    if run is None:
        message = said("No backfill of everything has succeeded since capture is on; run `manage.py backfill`.")
        return Gate(id=name, verdict=Verdict.INCONCLUSIVE, message=message)
    message = said("Backfill %(run)s went through everything.", run=str(run.pk))
    return Gate(id=name, verdict=Verdict.PASS, message=message, value=run.pk, age=_age(run.ended_at))


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


def validation_clean(migration: AnyMigration) -> Gate:
    """The newest validation of everything came to its end, saw everything, found nothing, is fresh, and began after the
    backfill ended. An older, better one does not count; nor does one that was given up."""
    run = _newest_whole_validation(migration)
    if run is None:
        message = said("Nothing was validated in full yet; run `manage.py validate_migration`.")
        return Gate(id="validation_clean", verdict=Verdict.INCONCLUSIVE, message=message)
    name = str(run.pk)
    unequal = _unequal(migration, run)
    doubt = _doubt(run, _last_whole_backfill(migration))
    if run.status in (RunStatus.RUNNING, RunStatus.PAUSED):
        verdict = Verdict.INCONCLUSIVE
        message = said(
            "Validation %(run)s is %(status)s and has not ended; wait for it, or, if nothing works on it, go on with"
            " it: `manage.py validate_migration`.",
            run=name,
            status=word(run.status),
        )
    elif unequal:
        verdict = Verdict.FAIL
        message = said_many(
            "Validation %(run)s, or a sample after it, found %(unequal)s difference; mend it, then run"
            " `manage.py validate_migration`.",
            "Validation %(run)s, or a sample after it, found %(unequal)s differences; mend them, then run"
            " `manage.py validate_migration`.",
            unequal,
            run=name,
            unequal=number(unequal),
        )
    elif run.status == RunStatus.FAILED:
        verdict = Verdict.FAIL
        message = said(
            "Validation %(run)s did not see everything (%(why)s); see to that, then run"
            " `manage.py validate_migration`.",
            run=name,
            why=run.error or said("it broke off"),
        )
    elif doubt:
        verdict, message = Verdict.INCONCLUSIVE, doubt
    else:
        verdict = Verdict.PASS
        message = said("Validation %(run)s compared everything and found no difference.", run=name)
    return Gate(
        id="validation_clean",
        verdict=verdict,
        message=message,
        value=unequal,
        n=run.result.get(f"{migration.plural}_compared"),
        k=unequal,
        threshold=0,
        age=_age(run.ended_at),
    )


def _unequal(migration: AnyMigration, run: Run) -> int:
    """How much this validation found, or a sample or drift run after it, that nobody has explained as it is now.

    What waits on the dirty list is that gate's business, unless the validation itself came across it.
    """
    later = lifecycle.standing(migration).filter(run__gte=run.pk, status__in=UNSETTLED)
    unmended = later.exclude(~Q(run=run), severity=Severity.LOW).count()
    found = sum(int(run.result.get(kind) or 0) for kind in (*MISMATCHES, "stray_rows"))
    for difference, holds in explained.holding(migration):
        if not holds:
            unmended += 1
        elif difference.run_id >= run.pk and run.ended_at is not None and difference.found_at <= run.ended_at:
            found -= 1
    return max(unmended, found)


def _doubt(run: Run, backfill: Run | None) -> Sentence | None:
    """Why this validation proves nothing although it found nothing; None if it proves what it says."""
    name, oldest, age = str(run.pk), conf.settings().validation_max_age, _age(run.ended_at)
    if run.result.get("complete") is not True or not all(isinstance(run.result.get(kind), int) for kind in MISMATCHES):
        return said("Validation %(run)s is incomplete; run `manage.py validate_migration`.", run=name)
    if backfill is None or backfill.ended_at is None:
        return said(
            "No backfill of everything has succeeded that could have been validated; run"
            " `manage.py validate_migration`."
        )
    if run.started_at < backfill.ended_at:
        return said(
            "Validation %(run)s began before backfill %(backfill)s had ended; run `manage.py validate_migration`.",
            run=name,
            backfill=str(backfill.pk),
        )
    if age is None or age > oldest.total_seconds():
        return said(
            "Validation %(run)s is older than %(oldest)s; run `manage.py validate_migration`.",
            run=name,
            oldest=spelled(oldest),
        )
    return None


def dirty_keys_drained(migration: AnyMigration) -> Gate:
    """No key waits to be looked at again."""
    found = DirtyKey.objects.filter(migration=migration.name).aggregate(count=Count("pk"), oldest=Min("created_at"))
    oldest = _age(found["oldest"])
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
        verdict=Verdict.PASS if reached == _ALL else Verdict.FAIL,
        message=said("%(percent)s of the units read modern; the ramp goes on until all do.", percent=percent(reached)),
        value=float(reached),
        threshold=float(_ALL),
    )


EVALUATORS: Mapping[str, Callable[[AnyMigration], Gate]] = {
    evaluator.__name__: evaluator
    for evaluator in (
        preflight_clean,
        capture_intact,
        backfill_complete,
        quarantine_decided,
        validation_clean,
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


def _finished(migration: AnyMigration, kind: RunKind) -> Any:
    return Run.objects.filter(migration=migration.name, kind=kind, status=RunStatus.SUCCEEDED).order_by("-id")


def _newest_whole_validation(migration: AnyMigration) -> Run | None:
    """The one that began last, however it ended or has not ended yet; no sample, dry run or file, none given up."""
    return (
        Run.objects.filter(migration=migration.name, kind=RunKind.VALIDATION)
        .filter(Q(result__sample=None) | Q(result__sample__isnull=True))
        .exclude(Q(status=RunStatus.CANCELLED) | Q(options__has_any_keys=["sample", "dry_run", "source"]))
        .order_by("-id")
        .first()
    )


def _last_whole_backfill(migration: AnyMigration) -> Run | None:
    """The last one that read everything there was after capture began: no limit, no dry run, no other source."""
    since = state.read(migration).capture_since
    if since is None:
        return None
    # Not by time: it would be this machine's clock for the run and the database's for capture.
    for run in _finished(migration, RunKind.BACKFILL).filter(options__capture_since=since.isoformat()):
        narrowed = (said.get(how) for said in (run.options, run.result) for how in ("limit", "dry_run", "source"))
        if not any(narrowed):
            return run  # type: ignore[no-any-return]
    return None


def _age(moment: datetime | None) -> float | None:
    """Seconds since then, by the database's clock."""
    if moment is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp() - %s)::float", [moment])
        return max(0.0, float(cursor.fetchone()[0]))
