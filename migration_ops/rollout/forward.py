"""The next step forward: where it leads, and through which gates; from the stages and the plan of the ramp."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from migration_ops import stages
from migration_ops.gates.opening import Passage
from migration_ops.gates.wording import percent as per_cent
from migration_ops.rollout.plan import ALL, next_percent
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.state import State


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
