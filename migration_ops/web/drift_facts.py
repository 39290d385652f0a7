"""When drift was looked for last, at what, and what that proves."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from migration_ops.definition import AnyMigration
from migration_ops.models import Run, RunStatus
from migration_ops.verify import drift
from migration_ops.verify.difference_listing import last_drift_run
from migration_ops.web import wording
from migration_ops.web.shapes import Fact, grouped


def facts(migration: AnyMigration) -> list[Fact]:
    """The last run: when and how it ended, what it compared, and what its sample would have shown."""
    run = last_drift_run(migration)
    if run is None:
        return [Fact(_("Last drift run"), _("none yet"), tone="unsure")]
    found = [_when(run)]
    if run.status == RunStatus.SUCCEEDED and run.result:
        found += [_looked_at(migration, run.result), _proof(run.result), _came_of(run.result)]
    return found


def _when(run: Run) -> Fact:
    ended = run.ended_at or run.started_at
    ago = _("%(age)s ago") % {"age": wording.age((timezone.now() - ended).total_seconds())}
    said = f"{date_format(localtime(ended), 'Y-m-d H:i T')} ({ago})"
    well = run.status == RunStatus.SUCCEEDED
    note = "" if well else ": ".join(filter(None, (str(RunStatus(run.status).label), run.error)))
    link = reverse("admin:migration_ops_run_change", args=[run.pk])
    return Fact(_("Last drift run"), said, link, "good" if well else "unsure", note)


def _looked_at(migration: AnyMigration, result: Mapping[str, Any]) -> Fact:
    because = result.get("everything_because")
    if because:
        compared = int(result.get(f"{migration.plural}_compared") or 0)
        value = _("everything, %(n)s in all") % {"n": grouped(compared)}
        return Fact(_("What it compared"), value, note=wording.translated(drift.reason_kept(because)))
    touched, sampled = int(result.get("touched") or 0), int(result.get("sampled") or 0)
    words = (
        ngettext("%(n)s that was touched", "%(n)s that were touched", touched) % {"n": grouped(touched)},
        _("%(n)s at random") % {"n": grouped(sampled)},
    )
    return Fact(_("What it compared"), ", ".join(words))


def _proof(result: Mapping[str, Any]) -> Fact:
    """Of the documents that nobody is known to have touched."""
    share = result.get("power")
    if share is None:
        return Fact(_("Power of the sample"), _("nothing was compared at random"), tone="unsure")
    rate = wording.percent(Decimal(str(share * 100)).quantize(Decimal("0.0001"), "ROUND_UP"))
    proven = _(
        "A clean sample of this size would have met a share of %(share)s or more differing with 95 %% confidence."
    )
    return Fact(_("Power of the sample"), rate, note=proven % {"share": rate})


def _came_of(result: Mapping[str, Any]) -> Fact:
    new, again = int(result.get("new") or 0), int(result.get("confirmed") or 0)
    value = _("%(new)s new, %(again)s found again") % {"new": grouped(new), "again": grouped(again)}
    return Fact(_("What it found"), value, tone="bad" if new or again else "good")
