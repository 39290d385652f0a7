"""The control room as its templates show it: in words, and with links to the rows behind each number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _

from migration_ops import history, moment, stages
from migration_ops.dashboard import Room, Switch
from migration_ops.definition import AnyMigration
from migration_ops.state import State
from migration_ops.web import facts, gate_views, tables, wording
from migration_ops.web.gate_views import GateView
from migration_ops.web.shapes import Fact, Table, rows
from migration_ops.web.wording import Text


@dataclass(frozen=True, slots=True)
class Standing:
    """One migration in the list of all."""

    name: str
    label: Text
    stage: str
    hold: bool
    kill: bool
    changed_at: str


def standing(migration: AnyMigration, now: State) -> Standing:
    return Standing(migration.name, migration.label, wording.stage(now), now.hold, now.kill, _when(now.changed_at))


@dataclass(frozen=True, slots=True)
class Rung:
    """One stage on the rail; `place` is `past`, `here`, `next` or `ahead`.

    `note` says that it is here, and what is next where the plan's next step is to it.
    """

    id: str
    label: Text
    place: str
    note: str


@dataclass(frozen=True, slots=True)
class SwitchView:
    """An entry of the history."""

    at: str
    verb: Text
    actor: str
    reason: str
    change: str
    vouched_for: str
    link: str


@dataclass(frozen=True, slots=True)
class Live:
    """All of the control room that changes by the second."""

    now: State
    at: str
    headline: str
    meaning: Text
    rail: tuple[Rung, ...]
    following: str
    modern: float
    legacy: float
    served: tuple[Fact, ...]
    reads: Table
    gates: tuple[GateView, ...]
    open_gates: int
    writes: Table
    comparisons: Table
    latencies: Table
    facts: tuple[Fact, ...]
    quarantine: Table
    blocked: tuple[tuple[str, str], ...]
    switches: tuple[SwitchView, ...]
    history: str


def live(room: Room) -> Live:
    """The view of a room."""
    name, now = room.migration.name, room.now
    gates = tuple(gate_views.gate(each) for each in room.gates)
    return Live(
        now=now,
        at=moment.shown(room.at),
        headline=wording.stage(now),
        meaning=wording.MEANINGS[now.stage],
        rail=_rail(room),
        following=_following(room),
        modern=float(room.served.modern),
        legacy=float(room.served.legacy),
        served=facts.served(room),
        reads=tables.reads(room),
        gates=gates,
        open_gates=sum(each.is_open for each in room.gates),
        writes=tables.writes(room),
        comparisons=tables.comparisons(room),
        latencies=tables.latencies(room),
        facts=(*facts.backfill(room), *facts.validation(room), *facts.waiting(room)),
        quarantine=tables.quarantine(room),
        blocked=tuple(
            (room.migration.key_in_words(key), wording.translated(why))
            for key, why in list(room.way_back.blocked.items())[:10]
        ),
        switches=tuple(_switch(each) for each in room.switches),
        history=rows("historyentry", migration__exact=name),
    )


def _rail(room: Room) -> tuple[Rung, ...]:
    """The stages; what is next is what the plan says, which at `ramp` may be a further percentage of it."""
    here, following = room.now.stage, room.following

    def rung(stage: stages.Stage) -> Rung:
        place = "past" if stage.position < here.position else "ahead"
        note = ""
        if stage is here:
            place, note = "here", _("here")
            if following is not None and following.stage is here:
                note = _("here, next %(percent)s") % {"percent": wording.percent(following.percent)}
        elif following is not None and following.stage is stage:
            place, note = "next", _("next")
        return Rung(stage.value, wording.STAGES[stage], place, note)

    return tuple(rung(stage) for stage in stages.ORDER)


def _when(at: datetime | None) -> str:
    return "" if at is None else moment.shown(at)


def _following(room: Room) -> str:
    if room.following is None:
        return ""
    if room.following.stage is not stages.Stage.RAMP:
        return str(wording.STAGES[room.following.stage])
    return wording.stage(State(room.now.name, stage=room.following.stage, percent=room.following.percent))


def _switch(switch: Switch) -> SwitchView:
    entry = switch.entry
    moved = []
    if entry.from_stage != entry.to_stage:
        moved.append(f"{wording.stage_named(entry.from_stage)} → {wording.stage_named(entry.to_stage)}")
    if switch.percent is not None:
        moved.append(" → ".join(wording.percent(percent) for percent in switch.percent))
    return SwitchView(
        at=moment.shown(entry.at),
        verb=wording.verb(entry.verb),
        actor=entry.actor,
        reason=entry.reason,
        change=", ".join(moved),
        vouched_for=", ".join(str(wording.GATES.get(gate, gate)) for gate in history.vouched_for(entry)),
        link=reverse("admin:migration_ops_historyentry_change", args=[entry.pk]),
    )
