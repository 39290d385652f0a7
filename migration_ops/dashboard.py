"""What the control room shows of a migration, in one look.

Selectors only: values, no sentences and no addresses. `web` says them in words and links them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from migration_ops import history, overview, stages, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.gates import Gate, opening
from migration_ops.models import UNSETTLED, Flag, HistoryEntry, RunKind
from migration_ops.observe import counted
from migration_ops.observe.counted import Counted, Day, Durations
from migration_ops.observe.measures import What
from migration_ops.rollout import forward, routing, way_back
from migration_ops.rollout.forward import Next
from migration_ops.rollout.way_back import WayBack
from migration_ops.stages import Stage
from migration_ops.state import State
from migration_ops.sync.draft import ATTEMPTED, Outcome
from migration_ops.verify import lifecycle

HISTORY_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Served:
    """Which share of the units is served from where by what the state says, and what was read lately.

    Attributes:
        modern: percentage of the units that modern answers, exceptions of single documents apart.
        pinned: the store to which a break-glass setting pins all reads.
        follower_is_written: whether a break-glass setting leaves the second write alone.
        canary_users, canary_groups: how many the flag names.
        reads: of the last 24 hours, by store and reason.
    """

    modern: Decimal
    pinned: Side | None
    follower_is_written: bool
    canary_users: int
    canary_groups: int
    reads: tuple[Counted, ...]

    @property
    def legacy(self) -> Decimal:
        return 100 - self.modern


@dataclass(frozen=True, slots=True)
class SecondWrites:
    """How second writes went within the last hour and the last 24 hours, as (hour, day).

    Attributes:
        attempts, succeeded: counts.
        failures: by SQLSTATE, or the word for an outcome that has none.
        others: outcomes of writes that had no second one to attempt.
    """

    attempts: tuple[int, int] = (0, 0)
    succeeded: tuple[int, int] = (0, 0)
    failures: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    others: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Switch:
    """One entry of the history, with the percentage before and after it where that is known."""

    entry: HistoryEntry
    percent: tuple[Decimal, Decimal] | None


@dataclass(frozen=True, slots=True)
class Room:
    """A migration at a glance.

    Attributes:
        following: the next step; None at the last stage.
        gates: of the next step, with the overrides in force.
        exposes: whether that step lets more units read modern.
        later: what became of second writes after the commit, by outcome and SQLSTATE, as (hour, day).
        comparisons: how reads of both stores compared, by outcome and rule or error, as (hour, day).
        durations: of the last hour, by name and side.
        backfill, validation, drift: the last run of each kind, as `overview.last_run` has it.
        open_differences: those that are there and that nobody has mended or explained.
        dirty, quarantine: as `overview` has them.
    """

    migration: AnyMigration
    at: datetime
    now: State
    following: Next | None
    gates: tuple[Gate, ...]
    served: Served
    writes: SecondWrites
    later: Mapping[tuple[str, str], tuple[int, int]]
    comparisons: Mapping[tuple[str, str], tuple[int, int]]
    durations: Mapping[str, Mapping[str, Durations]]
    backfill: Mapping[str, Any] | None
    validation: Mapping[str, Any] | None
    drift: Mapping[str, Any] | None
    open_differences: int
    dirty: Mapping[str, Any]
    quarantine: Mapping[str, Any]
    way_back: WayBack
    switches: tuple[Switch, ...]


def look(migration: AnyMigration) -> Room:
    """Everything but what the last 24 hours looked like.

    The gates are asked what they are asked while writers wait, which takes milliseconds; a step asks for all of it.
    """
    now = state.read(migration)
    following = forward.following(now)
    counts = counted.counted(migration, [What.READ, What.WRITE, What.SECOND_WRITE, What.SHADOW_READ])
    return Room(
        migration=migration,
        at=timezone.now(),
        now=now,
        following=following,
        gates=opening.look(migration, now, forward.passage(following), fenced=True) if following else (),
        served=_served(migration, now, [each for each in counts if each.name == What.READ]),
        writes=second_writes(counts),
        later=_by_outcome(counts, What.SECOND_WRITE),
        comparisons=_by_outcome(counts, What.SHADOW_READ),
        durations=counted.durations(migration, [What.READ, What.PAIRED_READ]),
        backfill=overview.last_run(migration, RunKind.BACKFILL),
        validation=overview.last_run(migration, RunKind.VALIDATION),
        drift=overview.last_run(migration, RunKind.DRIFT),
        open_differences=lifecycle.standing(migration).filter(status__in=UNSETTLED).count(),
        dirty=overview.dirty(migration),
        quarantine=overview.quarantine(migration),
        way_back=way_back.look(migration),
        switches=tuple(Switch(entry, percent_of(entry)) for entry in history.entries(migration)[:HISTORY_SHOWN]),
    )


def day(migration: AnyMigration) -> Day:
    """The last 24 hours, for charts. Durations are those of comparisons, where both stores did the same work."""
    return counted.day(
        migration,
        attempted=sorted(ATTEMPTED),
        succeeded=Outcome.BOTH,
        timed=What.PAIRED_READ,
        sides=[side.value for side in Side],
    )


def second_writes(counts: Sequence[Counted]) -> SecondWrites:
    """What these counts say about second writes; those of other names are left out."""
    both = _by_outcome(counts, What.WRITE)

    def total(*outcomes: str) -> tuple[int, int]:
        found = [pair for (outcome, _), pair in both.items() if outcome in outcomes]
        return sum(hour for hour, _ in found), sum(day for _, day in found)

    return SecondWrites(
        attempts=total(*ATTEMPTED),
        succeeded=total(Outcome.BOTH),
        failures={key: pair for key, pair in both.items() if key[0] in ATTEMPTED and key[0] != Outcome.BOTH},
        others={outcome: total(outcome) for outcome, _ in both if outcome not in ATTEMPTED},
    )


def _by_outcome(counts: Sequence[Counted], name: str) -> dict[tuple[str, str], tuple[int, int]]:
    hours: Counter[tuple[str, str]] = Counter()
    days: Counter[tuple[str, str]] = Counter()
    for each in counts:
        if each.name == name:
            hours[each.outcome, each.sqlstate] += each.hour
            days[each.outcome, each.sqlstate] += each.day
    return {key: (hours[key], days[key]) for key in sorted(days)}


def percent_of(entry: HistoryEntry) -> tuple[Decimal, Decimal] | None:
    """The percentage before and after this entry, where its evidence says it and it changed."""
    before, after = (entry.evidence.get(when) for when in ("before", "after"))
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return None
    said = before.get("percent"), after.get("percent")
    if None in said:
        return None
    old, new = (Decimal(str(percent)) for percent in said)
    return (old, new) if old != new else None


def _served(migration: AnyMigration, now: State, reads: Sequence[Counted]) -> Served:
    flag = Flag.objects.filter(name=migration.name).first()
    return Served(
        modern=modern_share(now),
        pinned=routing.pin(),
        follower_is_written=routing.follower_is_written(),
        canary_users=flag.users.count() if flag else 0,
        canary_groups=flag.groups.count() if flag else 0,
        reads=tuple(reads),
    )


def modern_share(now: State) -> Decimal:
    """Percentage of the units that modern answers by stage, kill switch, percentage and the canaries' share."""
    if now.kill and now.stage.position <= Stage.LIVE.position:
        return Decimal(0)
    side = stages.authority(now.stage)
    if side is not None:
        return Decimal(100 if side is Side.MODERN else 0)
    return max(now.percent, now.canary_percent)  # the canaries' buckets are the first ones as well
