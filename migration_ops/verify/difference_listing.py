"""Selectors: differences, as people and machines are shown them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, IntegerField, QuerySet, Value, When

from migration_ops.definition import AnyMigration
from migration_ops.models import STANDING, UNSETTLED, Difference, DifferenceStatus, Run, RunKind
from migration_ops.verify.compare import Kind
from migration_ops.verify.severity import ORDER as SEVERITIES

SHOWN = 100
"""Differences that a listing shows and an entry of the history names, unless more are asked for."""

PAGE = 50
"""Differences a page."""

SHOWABLE = tuple(status for status in DifferenceStatus if status is not DifferenceStatus.SUSPECT)

STATUSES: Mapping[str, tuple[DifferenceStatus, ...]] = {
    "standing": STANDING,
    "unsettled": UNSETTLED,
    **{status.value: (status,) for status in SHOWABLE},
    "all": SHOWABLE,
}
"""By which words a list can be asked for."""

KINDS = tuple(kind for kind in Kind if kind.is_difference)

UNJUDGED = "unjudged"
"""Stands for the severity of what was found before there were severities."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Some of the differences; as text, in addresses, `unsettled`, `new.critical` or `new.critical.mismatched`.

    Attributes:
        status: a name of `STATUSES`.
        severity: `UNJUDGED` or one of `Severity`; "" for any.
        kind: a `Kind`; "" for any.
    """

    status: str = "unsettled"
    severity: str = ""
    kind: str = ""

    @classmethod
    def read(cls, text: str) -> Filter:
        """What a text means; parts of it that mean nothing ask for nothing."""
        status, severity, kind = (*text.split("."), "", "", "")[:3]
        return cls(
            status if status in STATUSES else cls().status,
            severity if severity in (*SEVERITIES, UNJUDGED) else "",
            kind if kind in KINDS else "",
        )

    def __str__(self) -> str:
        return f"{self.status}.{self.severity}.{self.kind}".rstrip(".")


@dataclass(frozen=True, slots=True)
class Group:
    """How many differences there are of one severity (`UNJUDGED` for none), kind and status."""

    severity: str
    kind: str
    status: str
    number: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Differences, and how many there are of each status and of each severity that are not settled."""

    migration: AnyMigration
    statuses: dict[str, int]
    severities: dict[str, int]
    items: list[Difference]

    def as_json(self) -> dict[str, Any]:
        return {
            "statuses": self.statuses,
            "severities": self.severities,
            "items": [as_json(self.migration, each) for each in self.items],
        }


def as_json(migration: AnyMigration, difference: Difference) -> dict[str, Any]:
    """One difference with the parts of its key and its life so far."""
    return {
        "id": difference.pk,
        **migration.describe_key(migration.decode_key(difference.key)),
        "kind": difference.kind,
        "severity": difference.severity,
        "status": difference.status,
        "fields": difference.fields,
        "run": difference.run_id,
        "found_at": difference.found_at.isoformat(),
        "seen_at": difference.seen_at and difference.seen_at.isoformat(),
        "closed_at": difference.closed_at and difference.closed_at.isoformat(),
        "explained_at": difference.explained_at and difference.explained_at.isoformat(),
        "explained_by": difference.explained_by or None,
        "explanation": difference.explanation or None,
    }


def listing(
    migration: AnyMigration,
    *,
    statuses: Collection[str] = STANDING,
    severities: Collection[str] = (),
    limit: int = SHOWN,
) -> Listing:
    """Differences with one of these statuses, and one of these severities if any are named; the newest first."""
    everything = all_of(migration)
    found = everything.filter(status__in=statuses)
    if severities:
        found = found.filter(severity__in=severities)
    by_status = dict(everything.values_list("status").annotate(Count("pk")).order_by("status"))
    unsettled = everything.filter(status__in=UNSETTLED)
    by_severity = dict(unsettled.values_list("severity").annotate(Count("pk")).order_by("severity"))
    return Listing(migration, by_status, by_severity, list(found.order_by("-pk")[: max(0, limit)]))


def groups(migration: AnyMigration) -> list[Group]:
    """All differences, counted in the database; the worst first."""
    counted = all_of(migration).order_by().values_list("severity", "kind", "status").annotate(Count("pk"))
    found = [Group(severity or UNJUDGED, *rest) for severity, *rest in counted]
    order = [*SEVERITIES, UNJUDGED]
    return sorted(found, key=lambda each: (order.index(each.severity), each.kind, each.status))


def page(migration: AnyMigration, wanted: Filter, number: str) -> Page[Difference]:
    """Page `number` of these differences, the worst first and of those the oldest; the nearest page there is."""
    return Paginator(_wanted(migration, wanted), PAGE).get_page(number)


def first(migration: AnyMigration, wanted: Filter, most: int) -> list[int]:
    """The ids of the first `most` of these differences, in the order of the pages."""
    return list(_wanted(migration, wanted).values_list("pk", flat=True)[:most])


def count(migration: AnyMigration, wanted: Filter) -> int:
    """How many of these differences there are."""
    return _wanted(migration, wanted).count()


def one(migration: AnyMigration, number: int) -> Difference | None:
    """The difference of this number, whatever became of it; None if there is none."""
    return all_of(migration).filter(pk=number).select_related("run").first()


def last_drift_run(migration: AnyMigration) -> Run | None:
    """The run that looked for drift last, or does so now; dry runs are nobody's."""
    found = Run.objects.filter(migration=migration.name, kind=RunKind.DRIFT)
    return found.exclude(options__has_key="dry_run").order_by("-pk").first()


def all_of(migration: AnyMigration) -> QuerySet[Difference]:
    """Every difference between the two stores that a run confirmed; those of dry runs and of files are others."""
    found = Difference.objects.filter(migration=migration.name)
    return found.exclude(status=DifferenceStatus.SUSPECT).exclude(run__options__has_any_keys=["dry_run", "source"])


def _wanted(migration: AnyMigration, wanted: Filter) -> QuerySet[Difference]:
    found = all_of(migration).filter(status__in=STATUSES[wanted.status])
    if wanted.severity:
        found = found.filter(severity="" if wanted.severity == UNJUDGED else wanted.severity)
    if wanted.kind:
        found = found.filter(kind=wanted.kind)
    ranks = [When(severity=bad, then=Value(rank)) for rank, bad in enumerate(SEVERITIES)]
    rank = Case(*ranks, default=Value(len(SEVERITIES)), output_field=IntegerField())
    return found.annotate(rank=rank).order_by("rank", "pk")
