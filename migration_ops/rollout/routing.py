"""Which store has the word for a unit and for a key, and why. Reads and writes ask the same question.

Order: break-glass pin (reads alone), kill, stage; then within `ramp` what staff or a signed cookie ask for, users and
groups that the flag names, the canaries' share, and the unit's bucket. A key may be an exception: one that waits to be
carried over is with the side where it changed, and one with a quarantined row stays in legacy.

Whatever mixture of answers the requests of one unit get, nothing is lost by it: writes lock the key, reach both stores,
and leave what did not reach one of them on the dirty list, which every read and write looks at.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from django.conf import settings as django_settings

from migration_ops import stages, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.rollout import buckets, canaries, pinning, visitor
from migration_ops.stages import Stage
from migration_ops.state import Dial
from migration_ops.sync import dirty

COMPARING = frozenset({Stage.SHADOW, Stage.RAMP})
"""Stages at which a share of the reads is compared with the other store."""

BACKED = frozenset({Stage.RAMP, Stage.LIVE})
"""Stages at which modern has the word for somebody, and every change is in legacy too, or on the dirty list."""


class Reason(StrEnum):
    """Why a store was chosen; stands in the answers' header."""

    PIN = "pin"
    """`DATA_BACKEND` pins all reads."""

    KILL = "kill"
    """The kill switch is on."""

    STAGE = "stage"
    """All units are served from this store at the present stage."""

    HEADER = "header"
    """Staff asked for this store with the canary header."""

    COOKIE = "cookie"
    """A canary cookie that we signed for this user, or that staff sent, asks for this store."""

    USER = "user"
    """The flag names this user as a canary."""

    GROUP = "group"
    """The flag names a group of this user."""

    CANARY = "canary"
    """The unit is within the canaries' share."""

    BUCKET = "bucket"
    """The unit is within the percentage, or not yet."""

    DIRTY = "dirty"
    """This key changed on that side, and the other is behind."""

    QUARANTINED = "quarantined"
    """A row of this key waits for a person; until then legacy has the word."""

    FALLBACK = "fallback"
    """Modern failed, and legacy answered instead."""

    BREAKER = "breaker"
    """Modern failed often in this process, and is left alone for a moment."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The store that has the word, and why.

    Attributes:
        step: of the migration when this was decided, `State.step`.
        compares: whether the stage is one at which reads are compared with the other store.
        backed: whether legacy is complete at the stage, and may answer where modern has the word and fails.
    """

    side: Side
    reason: Reason
    step: int = 0
    compares: bool = False
    backed: bool = False


def of_unit(migration: AnyMigration, unit: str, now: Dial | None = None) -> Decision:
    """The store that answers this unit's reads, the same for a whole request; `now` as for `authority`."""
    pinned = pin()
    if pinned is not None:
        return Decision(pinned, Reason.PIN)
    asking = visitor.present()
    if asking is None or now is not None:
        return authority(migration, unit, now)
    known = asking.decisions.get((migration.name, unit))
    return known if isinstance(known, Decision) else authority(migration, unit)


def authority(migration: AnyMigration, unit: str, now: Dial | None = None) -> Decision:
    """The store whose word counts for this unit, and to which its writes go first.

    A pin of the reads does not count: pinned to a store that is not complete yet, a write would begin from nothing.

    Args:
        now: where the migration stands; read here where it is not given. A writer reads it inside the fence.
    """
    now = state.dial(migration) if now is None else now
    side, reason = _decided(migration, unit, now)
    decision = Decision(side, reason, now.step, compares=now.stage in COMPARING, backed=now.stage in BACKED)
    asking = visitor.present()
    if asking is not None:
        asking.decisions[migration.name, unit] = decision
    return decision


def own_authority(migration: AnyMigration, unit: str, now: Dial | None = None) -> Decision:
    """As `authority`, for work on documents of others: whoever asks for a store in this request has no say in it."""
    with visitor.asking(None):
        return authority(migration, unit, now)


def _decided(migration: AnyMigration, unit: str, now: Dial) -> tuple[Side, Reason]:
    if now.kill and now.stage.position <= Stage.LIVE.position:
        return Side.LEGACY, Reason.KILL
    side = stages.authority(now.stage)
    if side is not None:
        return side, Reason.STAGE
    asked = _asked(now)
    if asked is not None:
        return asked
    if buckets.is_within(now.percent, migration.name, unit):
        return Side.MODERN, Reason.BUCKET
    if buckets.is_within(now.canary_percent, migration.name, unit):
        return Side.MODERN, Reason.CANARY
    if now.named:
        named = canaries.named(migration, unit)
        if named is not None:
            return Side.MODERN, Reason(named)
    return Side.LEGACY, Reason.BUCKET


def _asked(now: Dial) -> tuple[Side, Reason] | None:
    """What the request asks for, if it may ask; a value that names no store asks for nothing."""
    asking = visitor.present()
    if asking is None:
        return None
    if now.canary_header:
        side = _side(asking.header(now.canary_header))
        if side is not None and asking.is_staff():
            return side, Reason.HEADER
    if now.canary_cookie:
        side = _side(asking.cookie(now.canary_cookie))
        if side is not None:
            return side, Reason.COOKIE
    return None


def _side(said: str | None) -> Side | None:
    return next((side for side in Side if side.value == said), None)


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
            decisions[key] = replace(usual, side=usual.side.other, reason=Reason.DIRTY)
    for key in held(migration, keys, usual):
        decisions[key] = replace(usual, side=Side.LEGACY, reason=Reason.QUARANTINED)
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
    """The store to which `DATA_BACKEND` pins all reads, or `pinning` those of this block, if one of them does."""
    pinned = getattr(django_settings, "DATA_BACKEND", "")
    return pinning.here() or (Side(pinned) if pinned else None)


def follower_is_written() -> bool:
    """Whether the break-glass setting `DUAL_WRITE` leaves the second write to the stage."""
    return getattr(django_settings, "DUAL_WRITE", None) is not False
