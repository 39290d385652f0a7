"""The runs of one migration: how far those are that can go on, what keeps them, and how the others ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from migration_ops import moment, run_listing, run_requests, runs
from migration_ops.backfill.health import BESIDE_OTHERS
from migration_ops.definition import AnyMigration
from migration_ops.gates.whole_runs import MISMATCHES
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.run_listing import AtHand
from migration_ops.web import wording
from migration_ops.web.acting_on_run import PERMISSIONS, ActingOnRun, progress_said
from migration_ops.web.rehearsal_view import would_be
from migration_ops.web.run_actions import RUN_ACTIONS
from migration_ops.web.shapes import Fact, grouped, listed

PAGE = 20
"""Runs a page."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run.

    Attributes:
        name: what kind it is, and its number.
        status, tone: how it stands, and how that is meant.
        note: a sentence of ours, in the language of whoever looks.
        slow: why it takes its time although all is well, in the same language.
        kept: sentences that the run kept, in English.
        link: its row, with its ranges.
    """

    name: str
    status: str
    tone: str
    facts: tuple[Fact, ...]
    note: str
    slow: str
    kept: tuple[str, ...]
    link: str


@dataclass(frozen=True, slots=True)
class AtHandView:
    """A run that can go on, and what can be done about it.

    Attributes:
        percent: of what it has to do; None where that is not known.
        version: what is looked at, for whoever presses a button.
    """

    shown: RunView
    percent: float | None
    version: str
    buttons: tuple[tuple[ActingOnRun, str], ...]


def shown(request: HttpRequest, migration: AnyMigration) -> dict[str, Any]:
    """What the template needs; its part that comes again and again is all of it."""
    kind = request.GET.get("kind", "")
    kind = kind if kind in RunKind.values else ""
    ended = Paginator(run_listing.ended(migration, kind), PAGE).get_page(request.GET.get("page"))
    allowed = [each for each in RUN_ACTIONS if request.user.has_perm(each.codename)]
    at_hand = run_listing.at_hand(migration)
    return {
        "migration": migration,
        "title": _("Runs: %(label)s") % {"label": migration.label},
        "query": request.GET.urlencode(),
        "at_hand": [_at_hand(migration, each, allowed) for each in at_hand],
        "starting": _starting(migration, at_hand, allowed),
        "kinds": [
            ("", _("all"), listed(migration, "runs")),
            *((each.value, str(each.label), listed(migration, "runs", kind=each.value)) for each in RunKind),
        ],
        "kind": kind,
        "ended": ended,
        "ended_runs": [_ended(run) for run in ended],
    }


def _starting(
    migration: AnyMigration, at_hand: list[AtHand], allowed: list[ActingOnRun]
) -> list[tuple[ActingOnRun, str, str]]:
    """Buttons that begin a run of a kind of which none is under way, with what is looked at."""
    kinds = [kind for kind in PERMISSIONS if kind not in {each.run.kind for each in at_hand}]
    return [
        (each, _address(migration, each), runs.seen(runs.standing(migration, each.kind)))
        for each in allowed
        if each.kind in kinds and each.offered(None)
    ]


def _address(migration: AnyMigration, action: ActingOnRun) -> str:
    return reverse(f"admin:{action.url_name}", args=[migration.name])


def _at_hand(migration: AnyMigration, found: AtHand, allowed: list[ActingOnRun]) -> AtHandView:
    run, progress = found.run, found.progress
    mine = [each for each in allowed if each.kind == run.kind]
    buttons = tuple((each, _address(migration, each)) for each in mine if each.offered(found))
    status = str(RunStatus(run.status).label)
    if run.status == RunStatus.RUNNING and run.requested:
        status = _("asked to pause") if run.requested == run_requests.PAUSE else _("asked to end")
    elif run.status == RunStatus.RUNNING and not found.holders:
        status = _("waits for a worker") if run.queued else _("abandoned")
    facts = [Fact(_("How far"), progress_said(progress))]
    if found.holders:
        facts.append(Fact(_("Rate"), _("%(rows)s rows/s") % {"rows": grouped(round(progress.speed))}))
        facts.append(Fact(_("Time left"), wording.age(progress.eta_seconds)))
    facts += [
        Fact(_("Time worked"), wording.age(run.worked_seconds)),
        Fact(_("Who works on it"), ", ".join(each.owner for each in found.holders) or _("nobody")),
        *_begun(run),
    ]
    tone = "unsure" if found.problem or run.requested else wording.RUN_TONES.get(run.status, "good")
    return AtHandView(
        shown=_view(run, status, tone, facts, wording.translated(found.problem)),
        percent=None if progress.fraction is None else round(100 * progress.fraction, 1),
        version=runs.seen(run),
        buttons=buttons,
    )


def _ended(run: Run) -> RunView:
    facts = [Fact(label, grouped(value)) for label, value in _counts(run)]
    facts += [Fact(_("Time worked"), wording.age(run.worked_seconds)), *_begun(run)]
    if run.ended_at is not None:
        facts.append(Fact(_("Ended"), moment.shown(run.ended_at)))
    return _view(run, str(RunStatus(run.status).label), wording.run_tone(run.status, run.result), facts)


def _begun(run: Run) -> list[Fact]:
    facts = [Fact(_("Started"), moment.shown(run.started_at), note=run.actor)]
    if run.options.get("source"):
        facts.append(Fact(_("Reads"), run.options["source"]))
    if run.options.get("limit"):
        limit = run.options["limit"]
        facts.append(Fact(_("Trial"), ngettext("%(rows)s row", "%(rows)s rows", limit) % {"rows": grouped(limit)}))
    return facts


def _view(run: Run, status: str, tone: str, facts: list[Fact], note: str = "") -> RunView:
    beside_others = run.hold_reason == BESIDE_OTHERS
    return RunView(
        name=_("%(kind)s %(run)s") % {"kind": RunKind(run.kind).label, "run": run.pk},
        status=status,
        tone=tone,
        facts=tuple(facts),
        note=note,
        slow=wording.hold_reason(run.hold_reason) if beside_others else "",
        kept=tuple(said for said in ("" if beside_others else run.hold_reason, run.error) if said),
        link=reverse("admin:migration_ops_run_change", args=[run.pk]),
    )


def _counts(run: Run) -> list[tuple[str, int]]:
    """What came of it, by what its kind counts."""
    match run.kind:
        case RunKind.BACKFILL:
            counters = run_listing.counters_of(run)
            return [
                (_("Rows read"), counters.rows_read),
                (_("Written"), counters.written),
                (_("The same already"), counters.unchanged),
                (_("Merged into others"), counters.merged),
                (_("Quarantined"), counters.quarantined),
            ]
        case RunKind.REHEARSAL:
            counters = run_listing.counters_of(run)
            return [(_("Rows read"), counters.rows_read), *would_be(counters)]
    found = run.result
    if "legacy_rows" not in found:
        return []
    equal, different = int(found.get("matched") or 0), sum(int(found.get(each) or 0) for each in MISMATCHES)
    counts = [(_("Compared"), equal + different), (_("Equal"), equal), (_("Different"), different)]
    if strays := int(found.get("stray_rows") or 0):
        counts.append((_("Modern rows that belong to nothing"), strays))
    return counts
