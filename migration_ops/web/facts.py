"""Single values in the control room: who is served, the runs, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from migration_ops.dashboard import Room
from migration_ops.definition import Side
from migration_ops.gates.whole_runs import MISMATCHES
from migration_ops.models import RunStatus
from migration_ops.rollout import canaries
from migration_ops.state import State
from migration_ops.web import wording
from migration_ops.web.shapes import Fact, grouped, listed, rows


def served(room: Room) -> tuple[Fact, ...]:
    """How units are divided, and who is served apart from that."""
    now, who, name = room.now, room.served, room.migration.name
    flags = rows("flag", name__exact=name)
    found = [Fact(_("by bucket"), wording.percent(now.percent))]
    if now.canary_percent:
        found.append(Fact(_("canaries' share"), wording.percent(now.canary_percent)))
    if who.canary_users or who.canary_groups:
        people = ", ".join(
            (
                ngettext("%(n)d user", "%(n)d users", who.canary_users) % {"n": who.canary_users},
                ngettext("%(n)d group", "%(n)d groups", who.canary_groups) % {"n": who.canary_groups},
            )
        )
        found.append(Fact(_("canaries by name"), people, flags))
        found.append(_people(now))
    if now.canary_header:
        found.append(Fact(_("canary header"), now.canary_header))
    if now.canary_cookie:
        found.append(Fact(_("canary cookie"), now.canary_cookie))
    return tuple(found)


def _people(now: State) -> Fact:
    """How many are named, and whether that is more than may be."""
    sentence = _("%(people)s, more than %(most)s: no group counts")
    if not canaries.too_many(now):
        sentence = _("%(people)s of at most %(most)s")
    filled = {"people": grouped(now.named_people), "most": grouped(canaries.most(now.people))}
    return Fact(_("people named as canaries"), sentence % filled, tone="bad" if canaries.too_many(now) else "")


def _run_link(run: Mapping[str, Any]) -> str:
    return reverse("admin:migration_ops_run_change", args=[run["run"]])


def backfill(room: Room) -> list[Fact]:
    """The last backfill and how far it got."""
    label, run = _("Backfill"), room.backfill
    if run is None:
        return [Fact(label, _("none yet"), rows("run", migration__exact=room.migration.name, kind__exact="backfill"))]
    progress = grouped(run["rows"])
    if run["rows_expected"]:
        expected = run["rows_expected"]
        progress = ngettext(
            "%(rows)s of %(expected)s row (%(share)s)", "%(rows)s of %(expected)s rows (%(share)s)", expected
        ) % {
            "rows": progress,
            "expected": grouped(expected),
            "share": wording.percent(round(Decimal(str(run["share"])) * 100, 1)),
        }
    note = wording.hold_reason(run["hold_reason"]) or run["error"]
    return [Fact(label, f"{_status(run)}: {progress}", _run_link(run), wording.RUN_TONES.get(run["status"], ""), note)]


def validation(room: Room) -> list[Fact]:
    """What the last validation and the last drift run found, and what of all that nobody has mended or explained."""
    there, left = listed(room.migration, "differences"), "bad" if room.open_differences else "good"
    return [
        *_comparison(room, room.validation, _("Last validation"), _("never validated"), "validation"),
        *_drift(room),
        Fact(_("Differences not mended"), grouped(room.open_differences), there, left),
    ]


def _drift(room: Room) -> list[Fact]:
    """As any comparison; what it looked at stands with the differences."""
    found = _comparison(room, room.drift, _("Last drift run"), _("none yet"), "drift")
    return [replace(each, link=listed(room.migration, "differences")) for each in found]


def _comparison(room: Room, run: Mapping[str, Any] | None, label: str, none: str, kind: str) -> list[Fact]:
    if run is None:
        link = rows("run", migration__exact=room.migration.name, kind__exact=kind)
        return [Fact(label, none, link, "unsure")]
    result, said = run["result"], _status(run)
    compared = result.get(f"{room.migration.plural}_compared")
    unequal = sum(int(result.get(each) or 0) for each in MISMATCHES)
    if compared is not None:
        said = ngettext(
            "%(status)s: %(unequal)s of %(compared)s differs", "%(status)s: %(unequal)s of %(compared)s differ", unequal
        ) % {
            "status": said,
            "unequal": grouped(unequal),
            "compared": grouped(compared),
        }
    return [Fact(label, said, _run_link(run), wording.run_tone(run["status"], result), run["error"])]


def _status(run: Mapping[str, Any]) -> str:
    return str(RunStatus(run["status"]).label)


def waiting(room: Room) -> list[Fact]:
    """What has to be applied, decided, or carried back."""
    name, dirty, quarantine = room.migration.name, room.dirty, room.quarantine
    oldest = _("the oldest for %(age)s") % {"age": wording.age(dirty["oldest_seconds"])} if dirty["count"] else ""
    back = room.way_back
    return [
        Fact(
            _("Dirty keys"),
            grouped(dirty["count"]),
            rows("dirtykey", migration__exact=name),
            "unsure" if dirty["count"] else "good",
            oldest,
        ),
        Fact(
            _("Rows in quarantine, undecided"),
            grouped(quarantine["open"]),
            listed(room.migration, "quarantine"),
            "unsure" if quarantine["open"] else "good",
        ),
        Fact(
            _("Way back: not in legacy yet"),
            grouped(back.waiting),
            rows("dirtykey", migration__exact=name, side__exact=Side.MODERN.value),
            "bad" if back.blocked else "unsure" if back.waiting else "good",
            _("%(n)d of them legacy cannot hold") % {"n": len(back.blocked)} if back.blocked else "",
        ),
    ]
