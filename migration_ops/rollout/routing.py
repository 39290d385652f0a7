"""Which store has the word for a unit and for a key, and why. Reads and writes ask the same question.

Order: break-glass pin, kill, stage, then within `ramp` the unit's bucket. A key may be an exception: one that waits to
be carried over is with the side where it changed, and one with a quarantined row stays in legacy.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings as django_settings

from migration_ops import stages, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.rollout import buckets
from migration_ops.stages import Stage
from migration_ops.state import State
from migration_ops.sync import dirty


class Reason(StrEnum):
    """Why a store was chosen; stands in the answers' header."""

    PIN = "pin"
    """`DATA_BACKEND` pins all reads."""

    KILL = "kill"
    """The kill switch is on."""

    STAGE = "stage"
    """All units are served from this store at the present stage."""

    BUCKET = "bucket"
    """The unit is within the percentage, or not yet."""

    DIRTY = "dirty"
    """This key changed on that side, and the other is behind."""

    QUARANTINED = "quarantined"
    """A row of this key waits for a person; until then legacy has the word."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The store that has the word, and why."""

    side: Side
    reason: Reason


def of_unit(migration: AnyMigration, unit: str, now: State | None = None) -> Decision:
    """The store that answers this unit's reads; `now` as for `authority`."""
    pinned = pin()
    return authority(migration, unit, now) if pinned is None else Decision(pinned, Reason.PIN)


def authority(migration: AnyMigration, unit: str, now: State | None = None) -> Decision:
    """The store whose word counts for this unit, and to which its writes go first.

    A pin of the reads does not count: pinned to a store that is not complete yet, a write would begin from nothing.

    Args:
        now: where the migration stands; read here where it is not given. A writer reads it inside the fence.
    """
    now = state.read(migration) if now is None else now
    if now.kill and now.stage.position <= Stage.LIVE.position:
        return Decision(Side.LEGACY, Reason.KILL)
    side = stages.authority(now.stage)
    if side is not None:
        return Decision(side, Reason.STAGE)
    within = buckets.is_within(now.percent, migration.name, unit)
    return Decision(Side.MODERN if within else Side.LEGACY, Reason.BUCKET)


def of_keys(migration: AnyMigration, keys: Collection[Any], usual: Decision) -> dict[Any, Decision]:
    """The decision for each of these keys of one unit, for which `usual` is the unit's own."""
    decisions = dict.fromkeys(keys, usual)
    if not decisions:
        return decisions
    encoded = {migration.encode_key(key): key for key in decisions}
    changed: dict[Any, set[Side]] = {}
    for key, side in dirty.sides(migration, encoded):
        changed.setdefault(encoded[key], set()).add(side)
    for key, sides in changed.items():
        if len(sides) == 1 and usual.side not in sides and usual.reason not in (Reason.PIN, Reason.KILL):
            decisions[key] = Decision(usual.side.other, Reason.DIRTY)
    for key in held(migration, keys, usual):
        decisions[key] = Decision(Side.LEGACY, Reason.QUARANTINED)
    return decisions


def held(migration: AnyMigration, keys: Collection[Any], usual: Decision) -> set[Any]:
    """Those of these keys that legacy alone can answer for, because rows of them wait for a person.

    A key for which modern has the word, and a document, is none of them: what waits is a change past the app.
    """
    encoded = {migration.encode_key(key): key for key in keys}
    items = QuarantineItem.of(migration).filter(status=QuarantineStatus.OPEN, key__in=list(encoded))
    waiting = items.values_list("key", flat=True)
    found = {encoded[key] for key in waiting if key is not None}
    return migration.modern().absent(found) if found and usual.side is Side.MODERN else found


def pin() -> Side | None:
    """The store to which `DATA_BACKEND` pins all reads, if it does."""
    pinned = getattr(django_settings, "DATA_BACKEND", "")
    return Side(pinned) if pinned else None


def follower_is_written() -> bool:
    """Whether the break-glass setting `DUAL_WRITE` leaves the second write to the stage."""
    return getattr(django_settings, "DUAL_WRITE", None) is not False
