"""The control room's tables: reads, second writes, latencies, quarantine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from migration_ops.dashboard import Room
from migration_ops.definition import Side
from migration_ops.observe import counted
from migration_ops.observe.measures import ReadOutcome, ShadowOutcome, What
from migration_ops.rollout.routing import Reason
from migration_ops.sync.draft import Outcome
from migration_ops.web import wording
from migration_ops.web.shapes import Line, Number, Table, count, listed, rows


def _since(room: Room, *, hours: int) -> str:
    return (room.at - hours * counted.HOUR).isoformat(timespec="seconds")


_INSTEAD = {ReadOutcome.FALLBACK.value: Reason.FALLBACK, ReadOutcome.SPARED.value: Reason.BREAKER}
"""Outcomes of reads that are counted for modern, whose turn it was, and were answered by legacy for this reason."""


def reads(room: Room) -> Table:
    """Reads of the last hour, by the store that answered and the reason."""
    totals: dict[tuple[str, str], int] = defaultdict(int)
    failed: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in room.served.reads:
        if each.hour:
            reason = _INSTEAD.get(each.outcome)
            place = (each.side, each.cohort) if reason is None else (Side.LEGACY.value, reason.value)
            totals[place] += each.hour
            if each.outcome != counted.OK:
                failed[place][each.outcome] += each.hour
    everything = sum(totals.values())
    said = {"migration__exact": room.migration.name, "name__exact": What.READ, "minute__gte": _since(room, hours=1)}

    def line_of(side: str, cohort: str, many: int, bad: Mapping[str, int]) -> Line:
        where = {**said, "side__exact": side, "cohort__exact": cohort}
        instead = next((outcome for outcome, reason in _INSTEAD.items() if reason == cohort), None)
        if instead is not None:
            where = {**said, "outcome__exact": instead}
        elif side == Side.MODERN:
            where["outcome__in"] = f"{ReadOutcome.ERROR},{ReadOutcome.OK}"
        share = wording.percent(round(Decimal(100 * many) / everything, 1))
        behind = rows("metric", **{**where, "outcome__in": ",".join(sorted(bad))}) if bad else ""
        numbers = (count(many, rows("metric", **where)), Number(share), count(sum(bad.values()), behind))
        label = f"{wording.SIDES.get(side, side)}: {wording.REASONS.get(cohort, cohort) if cohort else '–'}"
        return Line(label, numbers, "bad" if bad else "")

    lines = [line_of(*key, many, failed[key]) for key, many in sorted(totals.items(), key=lambda item: -item[1])]
    return Table(_("read in the last hour"), (_("reads"), _("share"), _("not ok")), tuple(lines))


def writes(room: Room) -> Table:
    """Second writes within an hour and a day: attempts, the rate of success, and what failed by SQLSTATE."""
    found = room.writes

    def linked(pair: tuple[int, int], name: What = What.WRITE, **filters: str) -> tuple[Number, ...]:
        return _linked(room, pair, name, **filters)

    failed = any(outcome != Outcome.LATER for (outcome, _state), (_hour, day) in found.failures.items() if day)
    rates = [Number(_rate(good, all_)) for good, all_ in zip(found.succeeded, found.attempts, strict=True)]
    lines = [
        Line(_("attempted"), linked(found.attempts)),
        Line(_("in both stores"), linked(found.succeeded, outcome__exact=Outcome.BOTH.value)),
        Line(_("success"), tuple(rates), "bad" if failed else "good" if found.attempts[1] else ""),
    ]
    for (outcome, sqlstate), pair in found.failures.items():
        label = f"{wording.OUTCOMES.get(outcome, outcome)} {sqlstate}".strip()
        tone = "" if outcome == Outcome.LATER else "bad"
        lines.append(Line(label, linked(pair, outcome__exact=outcome, sqlstate__exact=sqlstate), tone))
    for outcome, pair in found.others.items():
        lines.append(Line(wording.OUTCOMES.get(outcome, outcome), linked(pair, outcome__exact=outcome)))
    for (outcome, sqlstate), pair in room.later.items():
        label = _("after the commit: %(outcome)s") % {"outcome": wording.OUTCOMES.get(outcome, outcome)}
        where = {"outcome__exact": outcome, "sqlstate__exact": sqlstate}
        tone = "" if outcome == Outcome.BOTH else "bad"
        lines.append(Line(f"{label} {sqlstate}".strip(), linked(pair, What.SECOND_WRITE, **where), tone))
    return Table(_("outcome"), (_("1 h"), _("24 h")), tuple(lines))


def comparisons(room: Room) -> Table:
    """Reads that were made in both stores and compared, within an hour and a day, by how they compared."""
    tones = {ShadowOutcome.MATCHED: "good", ShadowOutcome.MISMATCHED: "bad", ShadowOutcome.ERROR: "bad"}
    lines = [
        Line(
            f"{wording.COMPARISONS.get(outcome, outcome)} {rule}".strip(),
            _linked(room, pair, What.SHADOW_READ, outcome__exact=outcome, sqlstate__exact=rule),
            tones.get(ShadowOutcome(outcome), "") if outcome in set(ShadowOutcome) else "",
        )
        for (outcome, rule), pair in room.comparisons.items()
    ]
    return Table(_("compared with the other store"), (_("1 h"), _("24 h")), tuple(lines))


def _linked(room: Room, pair: tuple[int, int], name: What, **filters: str) -> tuple[Number, ...]:
    """A number for the hour and one for the day, each with its rows."""
    said = {"migration__exact": room.migration.name, "name__exact": name.value, **filters}
    return tuple(
        count(value, rows("metric", **said, minute__gte=_since(room, hours=hours)))
        for value, hours in zip(pair, (1, 24), strict=True)
    )


def _rate(good: int, attempts: int) -> str:
    """Rounded down, so that 100 % means all of them."""
    if not attempts:
        return "–"
    return wording.percent((Decimal(100_000 * good) / attempts).to_integral_value("ROUND_FLOOR") / 1000)


def latencies(room: Room) -> Table:
    """p95 of an hour: legacy, modern, their ratio."""
    found = []
    for label, name in (
        (_("comparisons, both stores each time"), What.PAIRED_READ),
        (_("reads that were served"), What.READ),
    ):
        by_side = room.durations.get(name, {})
        said = {"migration__exact": room.migration.name, "name__exact": name, "outcome__exact": counted.OK}
        said["minute__gte"] = _since(room, hours=1)
        legacy, modern = (by_side.get(side.value, counted.Durations()) for side in Side)
        times = [
            Number(wording.milliseconds(measured.p95), rows("metric", **said, side__exact=side.value))
            for side, measured in zip(Side, (legacy, modern), strict=True)
        ]
        ratio = f"{number_format(modern.p95 / legacy.p95, 2)} ×" if modern.p95 and legacy.p95 else "–"
        found.append(Line(label, (*times, Number(ratio), count(legacy.n + modern.n, rows("metric", **said)))))
    heads = (wording.SIDES["legacy"], wording.SIDES["modern"], _("ratio"), _("measured"))
    return Table(_("measured where"), heads, tuple(found))


def quarantine(room: Room) -> Table:
    """Quarantined rows by code: those that wait, and those that were accepted."""
    found = room.quarantine

    def linked(status: str, code: str) -> Number:
        where = listed(room.migration, "quarantine", listed=code, status=status)
        return count(found[f"{status}_by_code"].get(code, 0), where)

    codes = sorted({*found["open_by_code"], *found["accepted_by_code"]})
    lines = [
        Line(code, (linked("open", code), linked("accepted", code)), "unsure" if code in found["open_by_code"] else "")
        for code in codes
    ]
    return Table(_("Quarantine"), (_("undecided"), _("accepted")), tuple(lines))
