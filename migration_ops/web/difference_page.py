"""The differences for the person who looks after them: how many of which kind, a list, and one side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from migration_ops.definition import AnyMigration
from migration_ops.models import UNSETTLED, Difference, DifferenceStatus, Severity
from migration_ops.verify import difference_listing
from migration_ops.verify.compare import Kind
from migration_ops.verify.difference_listing import SHOWABLE, UNJUDGED, Filter, Group
from migration_ops.web import difference_actions, drift_facts, sides, wording
from migration_ops.web.acting_on_differences import name_of
from migration_ops.web.drift_action import LOOK_FOR_DRIFT
from migration_ops.web.shapes import Line, Table, count, grouped, listed
from migration_ops.web.wording import Text

MOST_PATHS = 5
"""Names of fields that the list shows of each difference."""

_BAD = {Severity.CRITICAL: "bad", Severity.HIGH: "bad", Severity.MEDIUM: "unsure", Severity.LOW: ""}


@dataclass(frozen=True, slots=True)
class DifferenceView:
    """One difference: whose it is, how bad, and how far along.

    Attributes:
        paths: the first of the fields that differ; `more` are left out.
    """

    found: Difference
    key: str
    link: str
    kind: str
    severity: str
    severity_tone: str
    status: str
    status_tone: str
    paths: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Tab:
    """A list that one can go to, and how many it has."""

    label: str
    number: str
    link: str
    is_here: bool


def shown(request: HttpRequest, migration: AnyMigration) -> dict[str, Any]:
    """What the template needs: how many there are, and a page of those that were asked for."""
    wanted = Filter.read(request.GET.get("listed", ""))
    groups = difference_listing.groups(migration)
    page = difference_listing.page(migration, wanted, request.GET.get("page", "1"))
    return {
        "migration": migration,
        "title": _("Differences: %(label)s") % {"label": migration.label},
        "drift": drift_facts.facts(migration),
        "look": LOOK_FOR_DRIFT if request.user.has_perm(LOOK_FOR_DRIFT.codename) else None,
        "look_address": reverse(f"admin:{LOOK_FOR_DRIFT.url_name}", args=[migration.name]),
        "table": _table(migration, groups),
        "tabs": _tabs(migration, groups, wanted),
        "wanted": wanted,
        "of_group": _of_group(wanted),
        "everything": listed(migration, "differences", listed=str(Filter(wanted.status))),
        "page": page,
        "rows": [_view(migration, each) for each in page],
        "buttons": difference_actions.buttons(request, migration, difference_listing.STATUSES[wanted.status]),
    }


def one_shown(request: HttpRequest, migration: AnyMigration, number: int) -> dict[str, Any]:
    """What the template needs for one; a 404 where there is none of this number."""
    found = difference_listing.one(migration, number) if number < 2**63 else None
    if found is None:
        raise Http404
    view = _view(migration, found)
    return {
        "migration": migration,
        "title": _("Difference %(number)s: %(key)s") % {"number": found.pk, "key": view.key},
        "one": view,
        "means": _MEANS.get(found.kind, ""),
        "fields": sides.recorded(request, found.fields),
        "masked": not request.user.has_perm(sides.MAY_READ),
        "inspect": listed(migration, "inspect", key=found.key),
        "life": _life(found),
        "buttons": difference_actions.buttons(request, migration, [found.status]),
    }


_MEANS: Mapping[str, Text] = {
    Kind.MISMATCHED: gettext_lazy("Different on the two sides."),
    Kind.MISSING_IN_MODERN: gettext_lazy("Missing in the modern store."),
    Kind.MISSING_IN_LEGACY: gettext_lazy("Only in the modern store; legacy has nothing of it."),
}


def _table(migration: AnyMigration, groups: Sequence[Group]) -> Table:
    """A line for each severity and kind that there is, a column for each status."""
    numbers = {(each.severity, each.kind, each.status): each.number for each in groups}
    lines = []
    for severity, kind in dict.fromkeys((each.severity, each.kind) for each in groups):
        label = f"{wording.severity(severity)} · {wording.KINDS.get(kind, kind)}"
        cells = tuple(
            count(
                numbers.get((severity, kind, status), 0),
                listed(migration, "differences", listed=str(Filter(status.value, severity, kind))),
            )
            for status in SHOWABLE
        )
        is_open = any(numbers.get((severity, kind, status)) for status in UNSETTLED)
        lines.append(Line(label, cells, "bad" if is_open and _tone(severity) == "bad" else ""))
    return Table(_("How bad, and what"), tuple(status.label for status in SHOWABLE), tuple(lines))


def _tabs(migration: AnyMigration, groups: Iterable[Group], wanted: Filter) -> list[Tab]:
    """The statuses, with what they have of the severity and kind that were asked for."""
    words: dict[str, Text] = {"unsettled": _("not settled"), **{each.value: each.label for each in SHOWABLE}}
    mine = [each for each in groups if wanted.severity in ("", each.severity) and wanted.kind in ("", each.kind)]
    return [
        Tab(
            label=str(label),
            number=grouped(sum(each.number for each in mine if each.status in difference_listing.STATUSES[status])),
            link=listed(migration, "differences", listed=str(replace(wanted, status=status))),
            is_here=status == wanted.status,
        )
        for status, label in words.items()
    ]


def _of_group(wanted: Filter) -> str:
    """The severity and kind that were asked for, in words; "" for all of them."""
    words = [wording.severity(wanted.severity)] if wanted.severity else []
    words += [str(wording.KINDS[wanted.kind])] if wanted.kind else []
    return " · ".join(words)


def _view(migration: AnyMigration, found: Difference) -> DifferenceView:
    paths = [str(each["path"]) for each in found.fields]
    return DifferenceView(
        found=found,
        key=name_of(migration, found.key),
        link=reverse("admin:migration_ops_dashboard_difference", args=[migration.name, found.pk]),
        kind=str(wording.KINDS.get(found.kind, found.kind)),
        severity=wording.severity(found.severity or UNJUDGED),
        severity_tone=_tone(found.severity),
        status=str(DifferenceStatus(found.status).label),
        status_tone="bad" if found.status in UNSETTLED else "good",
        paths=tuple(paths[:MOST_PATHS]),
        more=max(0, len(paths) - MOST_PATHS),
    )


def _life(found: Difference) -> list[tuple[Text, Any, str]]:
    """What happened to it, when, and what there is to say about it; the earliest first."""
    life: list[tuple[Text, Any, str]] = [(_("found"), found.found_at, "")]
    if found.seen_at is not None and found.seen_at != found.found_at:
        life.append((_("last seen"), found.seen_at, ""))
    if found.explained_at is not None:
        life.append((_("explained"), found.explained_at, f"{found.explained_by}: {found.explanation}"))
    if found.closed_at is not None and found.status not in difference_listing.STATUSES["standing"]:
        life.append((str(DifferenceStatus(found.status).label), found.closed_at, ""))
    return sorted(life, key=lambda each: each[1])


def _tone(severity: str) -> str:
    return _BAD[Severity(severity)] if severity in set(Severity) else ""
