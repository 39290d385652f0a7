"""The stages of a migration and the legal steps between them, as data.

The guards, the database trigger, the commands' verbs, the admin's buttons and the diagram in the documentation are all
derived from `TRANSITIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from migration_ops.definition import Side


class Stage(StrEnum):
    """Where a migration stands; in order."""

    OFF = "off"
    DUAL_WRITE = "dual_write"
    SHADOW = "shadow"
    RAMP = "ramp"
    LIVE = "live"
    FROZEN = "frozen"
    ARCHIVED = "archived"
    DROPPED = "dropped"

    @property
    def position(self) -> int:
        return ORDER.index(self)


ORDER = tuple(Stage)

CAPTURING: Mapping[Side, frozenset[Stage]] = {
    Side.LEGACY: frozenset({Stage.DUAL_WRITE, Stage.SHADOW, Stage.RAMP, Stage.LIVE}),
    Side.MODERN: frozenset({Stage.RAMP, Stage.LIVE}),
}
"""Stages in which changes of a store that go past the app are captured: legacy for as long as somebody may write it,
modern as soon as its word counts for somebody, so that the way back loses nothing."""

SYNCED = frozenset({Stage.DUAL_WRITE, Stage.SHADOW, Stage.RAMP, Stage.LIVE})
"""Stages in which the two stores are kept in step."""

BACKFILLING = frozenset({Stage.DUAL_WRITE, Stage.SHADOW})
"""Stages in which the backfill may run: capture is on, and legacy is in authority for every key."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal step.

    Attributes:
        source, target: from where to where.
        gates: ids of the gates that must pass, in the order they are shown; none for a way back.
    """

    source: Stage
    target: Stage
    gates: tuple[str, ...] = ()

    @property
    def forward(self) -> bool:
        return self.target.position > self.source.position


_READY = ("backfill_complete", "quarantine_decided", "validation_clean", "dirty_keys_drained")

DATA_GATES = ("capture_intact", *_READY, "constraints_validated")
"""Gates that say whether the data is there. For a step that lets somebody read modern nobody can vouch for them."""

PROCESSES = "processes"
"""The gate that all processes write to both stores: from the step on whose stage is about two stores that agree."""

_EXPOSING = (
    *DATA_GATES,
    PROCESSES,
    "dual_write_success",
    "shadow_reads_clean",
    "sync_lag",
    "evaluator_alive",
    "cooled_down",
)

FIRST_EXPOSURE = _EXPOSING
"""Gates before the first units read modern."""

FURTHER_EXPOSURE = (*_EXPOSING, "read_errors", "read_latency", "soak_elapsed")
"""Gates before more units do: those who read it already had no errors, no waits, and time enough."""

TRANSITIONS: tuple[Transition, ...] = (
    Transition(Stage.OFF, Stage.DUAL_WRITE, ("preflight_clean",)),
    Transition(Stage.DUAL_WRITE, Stage.SHADOW, ("capture_intact", *_READY, PROCESSES)),
    Transition(
        Stage.SHADOW,
        Stage.RAMP,
        (*DATA_GATES, PROCESSES, "dual_write_success", "shadow_reads_clean", "sync_lag"),
    ),
    Transition(Stage.RAMP, Stage.LIVE, ("ramp_complete", *FURTHER_EXPOSURE)),
    Transition(Stage.LIVE, Stage.FROZEN, (*_READY, PROCESSES, "soak_elapsed", "second_person")),
    Transition(Stage.FROZEN, Stage.ARCHIVED, ("archive_verified", "second_person")),
    Transition(Stage.ARCHIVED, Stage.DROPPED, ("archive_verified", "quiet_elapsed", "second_person")),
    Transition(Stage.DUAL_WRITE, Stage.OFF),
    Transition(Stage.SHADOW, Stage.DUAL_WRITE),
    Transition(Stage.SHADOW, Stage.OFF),
    Transition(Stage.RAMP, Stage.SHADOW),
    Transition(Stage.RAMP, Stage.DUAL_WRITE),
    Transition(Stage.RAMP, Stage.OFF),
    Transition(Stage.LIVE, Stage.RAMP),
    Transition(Stage.FROZEN, Stage.LIVE),
    Transition(Stage.ARCHIVED, Stage.FROZEN),
)

_BY_EDGE = {(transition.source, transition.target): transition for transition in TRANSITIONS}


def transition(source: Stage, target: Stage) -> Transition | None:
    """The step from `source` to `target`, or None where it is not legal."""
    return _BY_EDGE.get((source, target))


def next_stage(stage: Stage) -> Stage | None:
    """The one stage forward from here, or None at the end."""
    following = ORDER[stage.position + 1 : stage.position + 2]
    return following[0] if following else None


def earlier_stages(stage: Stage) -> tuple[Stage, ...]:
    """The stages one can go back to from here, the nearest first."""
    targets = [step.target for step in TRANSITIONS if step.source is stage and not step.forward]
    return tuple(sorted(targets, key=lambda target: target.position, reverse=True))


def authority(stage: Stage) -> Side | None:
    """The store whose word counts at this stage; None at `ramp`, where it depends on the unit."""
    if stage is Stage.RAMP:
        return None
    return Side.MODERN if stage.position > Stage.RAMP.position else Side.LEGACY
