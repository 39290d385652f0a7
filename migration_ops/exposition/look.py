"""What there is to say of one migration: values, read in a number of statements that no amount of data changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from migration_ops import overview, state
from migration_ops.definition import AnyMigration
from migration_ops.gates import readings
from migration_ops.gates.readings import Reading
from migration_ops.models import Flag
from migration_ops.observe import heartbeat, totals
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.totals import Ever
from migration_ops.rollout import evaluator, forward
from migration_ops.state import State


@dataclass(frozen=True, slots=True)
class Look:
    """One migration as it is now.

    Attributes:
        named: how many users and how many groups the flag names as canaries.
        gates: what the evaluator last found at this step, of the next step's gates and of those that are watched.
        heartbeats: seconds since each role was last heard of; without those that never were.
        dirty, quarantine: as `overview` has them.
    """

    migration: AnyMigration
    now: State
    named: tuple[int, int]
    gates: Sequence[Reading]
    heartbeats: Mapping[Role, float]
    dirty: Mapping[str, Any]
    quarantine: Mapping[str, Any]
    counted: Sequence[Ever]


def look(migration: AnyMigration) -> Look:
    """The migration as it is now. No gate is computed for it: who looks every few seconds must cost nobody anything."""
    now = state.read(migration)
    following = forward.following(now)
    wanted = dict.fromkeys([*(following.gates if following else ()), *evaluator.HOLDS])
    ages = {role: heartbeat.age(migration, role) for role in Role}
    return Look(
        migration=migration,
        now=now,
        named=_named(migration),
        gates=readings.latest(migration, now, wanted, exposes=following is not None and following.exposes),
        heartbeats={role: age for role, age in ages.items() if age is not None},
        dirty=overview.dirty(migration),
        quarantine=overview.quarantine(migration),
        counted=totals.ever(migration),
    )


def _named(migration: AnyMigration) -> tuple[int, int]:
    found = Flag.objects.filter(name=migration.name).aggregate(
        users=Count("users", distinct=True), groups=Count("groups", distinct=True)
    )
    return found["users"], found["groups"]
