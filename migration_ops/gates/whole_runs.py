"""The gates that want everything to have been carried over once, and everything to have been compared after that."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.db.models import Q

from migration_ops import conf, state
from migration_ops.definition import AnyMigration
from migration_ops.gates.age import age_of
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.wording import number, spelled
from migration_ops.models import UNSETTLED, Run, RunKind, RunStatus, Severity
from migration_ops.sentence import Sentence, said, said_many, word
from migration_ops.verify import explained, lifecycle

MISMATCHES = ("mismatched", "missing_in_modern", "missing_in_legacy")
"""What a validation found to differ, as its result counts it."""


def backfill_complete(migration: AnyMigration) -> Gate:
    """A backfill of everything began after capture was switched on, and succeeded."""
    name = "backfill_complete"
    run = _last_whole_backfill(migration)
    if run is None:
        message = said("No backfill of everything has succeeded since capture is on; run `manage.py backfill`.")
        return Gate(id=name, verdict=Verdict.INCONCLUSIVE, message=message)
    message = said("Backfill %(run)s went through everything.", run=str(run.pk))
    return Gate(id=name, verdict=Verdict.PASS, message=message, value=run.pk, age=age_of(run.ended_at))


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
        age=age_of(run.ended_at),
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
    name, oldest, age = str(run.pk), conf.settings().validation_max_age, age_of(run.ended_at)
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


EVALUATORS: Mapping[str, Callable[[AnyMigration], Gate]] = {
    evaluator.__name__: evaluator for evaluator in (backfill_complete, validation_clean)
}
"""Evaluators by gate id."""


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
    finished = Run.objects.filter(migration=migration.name, kind=RunKind.BACKFILL, status=RunStatus.SUCCEEDED)
    for run in finished.filter(options__capture_since=since.isoformat()).order_by("-id"):
        if not any(kept.get(how) for kept in (run.options, run.result) for how in ("limit", "dry_run", "source")):
            return run
    return None
