"""The plan of the ramp: through which percentages it goes, and how long each has to be watched."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from migration_ops.conf import settings
from migration_ops.stages import Stage
from migration_ops.state import State

ALL = Decimal(100)


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
