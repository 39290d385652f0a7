"""What the next step forward is, and which gates it needs; from the stages and the plan of the ramp."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from migration_ops import stages
from migration_ops.conf import settings
from migration_ops.gates.opening import Passage
from migration_ops.gates.wording import percent as per_cent
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.state import State

ALL = Decimal(100)


@dataclass(frozen=True, slots=True)
class Next:
    """A step forward.

    Attributes:
        stage, percent: where it leads.
        gates: what it needs.
        exposes: whether units that read legacy now will read modern.
    """

    stage: Stage
    percent: Decimal
    gates: tuple[str, ...]
    exposes: bool

    def __str__(self) -> str:
        if self.stage is Stage.RAMP:
            return said("%(stage)s at %(percent)s", stage=word(self.stage), percent=per_cent(self.percent))
        return word(self.stage)


def following(now: State) -> Next | None:
    """The next step: a stage, or at `ramp` the plan's next percentage; None at the last stage."""
    if now.stage is Stage.RAMP and now.percent < ALL:
        return raised(now, next_percent(now.percent))
    target = stages.next_stage(now.stage)
    step = stages.transition(now.stage, target) if target else None
    if target is None or step is None:
        return None
    percent = ALL if target.position > Stage.RAMP.position else Decimal(0)
    return Next(target, percent, step.gates, exposes=target is Stage.LIVE)


def raised(now: State, percent: Decimal) -> Next:
    """The step from the present percentage at `ramp` up to this one."""
    gates = stages.FURTHER_EXPOSURE if now.percent else stages.FIRST_EXPOSURE
    return Next(Stage.RAMP, percent, gates, exposes=True)


def passage(step: Next) -> Passage:
    """The gates on the way of this step, which follows the plan."""
    return Passage(said("to %(step)s", step=str(step)), step.gates, exposes=step.exposes)


def next_percent(percent: Decimal) -> Decimal:
    """The first percentage of the plan above this one; 100 at the end."""
    return next((step for step, _ in _plan() if step > percent), ALL)


def soak(now: State) -> timedelta:
    """How long the present step has to be watched: that of the plan's step at or above the present percentage, at
    `live` that of 100 %, and elsewhere nothing."""
    if now.stage is Stage.LIVE:
        return _plan()[-1][1]
    if now.stage is not Stage.RAMP or not now.percent:
        return timedelta(0)
    return next(time for step, time in _plan() if step >= now.percent)


def _plan() -> list[tuple[Decimal, timedelta]]:
    return [(Decimal(str(percent)), time) for percent, time in settings().ramp_plan]
