"""What becomes of a difference from one run to the next: it keeps its number for as long as it is there."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from migration_ops.definition import AnyMigration
from migration_ops.models import STANDING, Difference, DifferenceStatus, Run, RunRange
from migration_ops.verify.look import Seen

_FOUND_AGAIN = ["run", "kind", "fields", "severity", "digest", "status", "found_at", "seen_at", "explained_at",
                "explained_by", "explanation"]  # fmt: skip


def standing(migration: AnyMigration) -> QuerySet[Difference]:
    """Differences between modern and the store that this migration reads, that are there as far as anybody knows."""
    of_file = Q(run__options__source=migration.rows_from)
    mine = of_file if migration.rows_from else ~Q(run__options__has_key="source")
    dry = Q(run__options__has_key="dry_run")
    return Difference.objects.filter(mine, migration=migration.name, status__in=STANDING).exclude(dry)


def confirm(
    migration: AnyMigration, run: Run, suspects: Sequence[Difference], seen: dict[str, Seen], *, keep: bool
) -> None:
    """These suspects of this run are differences. One that an earlier run has found goes on as that one.

    A difference that somebody explained stays so while both sides say what was explained, and is new otherwise. What
    runs have found that are still at work stays theirs. With `keep=False` earlier ones are only asked.
    """
    known = {each.key: each for each in _earlier(migration, run).filter(key__in=[each.key for each in suspects])}
    now = timezone.now()
    here: list[Difference] = []
    again: list[Difference] = []
    for suspect in suspects:
        earlier = known.get(suspect.key)
        found = suspect
        if earlier is None:
            suspect.status, suspect.found_at = DifferenceStatus.NEW, now
        else:
            status, first = after(earlier, seen[suspect.key]), earlier.found_at
            if keep:
                found = earlier
            elif status == DifferenceStatus.EXPLAINED:
                _explain_like(suspect, earlier)
            found.status, found.found_at = status, first
        describe(found, seen[suspect.key])
        found.run, found.seen_at = run, now
        (here if found is suspect else again).append(found)
    moved = [each.key for each in again]
    Difference.objects.filter(run=run, status=DifferenceStatus.SUSPECT, key__in=moved).delete()
    _earlier(migration, run).filter(key__in=moved).exclude(pk__in=[each.pk for each in again]).update(
        status=DifferenceStatus.GONE, closed_at=now
    )
    Difference.objects.bulk_update([*here, *again], _FOUND_AGAIN, batch_size=200)


def _explain_like(difference: Difference, other: Difference) -> None:
    difference.explained_at, difference.explained_by = other.explained_at, other.explained_by
    difference.explanation = other.explanation


def after(difference: Difference, seen: Seen) -> DifferenceStatus:
    """What a difference that is standing is after it was found again like this."""
    if difference.status != DifferenceStatus.EXPLAINED:
        return DifferenceStatus.CONFIRMED
    return DifferenceStatus.EXPLAINED if difference.digest == seen.digest else DifferenceStatus.NEW


def describe(difference: Difference, seen: Seen) -> None:
    """Write into it what it looks like now; an explanation of something else goes."""
    difference.kind = seen.verdict.kind.value
    difference.fields = [
        {"path": each.path, "legacy": each.legacy, "modern": each.modern} for each in seen.verdict.fields
    ]
    difference.severity, difference.digest = seen.severity or "", seen.digest
    if difference.status != DifferenceStatus.EXPLAINED:
        difference.explained_at, difference.explained_by, difference.explanation = None, "", ""


def close_vanished(migration: AnyMigration, run: Run, looked_at: Q) -> int:
    """What earlier runs found of documents that this run has looked at, and that it did not find again, is gone."""
    return (
        _earlier(migration, run)
        .filter(looked_at, run_id__lt=run.pk)
        .update(status=DifferenceStatus.GONE, closed_at=timezone.now())
    )


def forget_suspects(migration: AnyMigration, run: Run, unfinished: Sequence[str]) -> None:
    """Suspects of earlier runs that nobody will look at again."""
    left = Difference.objects.filter(migration=migration.name, run_id__lt=run.pk, status=DifferenceStatus.SUSPECT)
    left.exclude(run__status__in=unfinished).exclude(run__in=_at_work().values("run")).delete()


def _earlier(migration: AnyMigration, run: Run) -> QuerySet[Difference]:
    return standing(migration).exclude(run=run).exclude(run__in=_at_work().values("run")).order_by("pk")


def _at_work() -> QuerySet[RunRange]:
    return RunRange.objects.filter(number=0, done=False, lease_until__gt=Now())
