"""Alerts: one for each problem, however often it is found; told seldom, resolved by themselves.

`evaluate(migration)` keeps them in step with what the sources find, `deliver()` sends what the outbox holds; neither is
ever called by a step of a migration, so that an alert which cannot be sent fails none. `make_round()` is both;
`Rounds` makes them beside a loop: the scheduler's, and the evaluator's where the scheduler is silent.
`acknowledge` is for people.
"""

from migration_ops.alerts.acknowledging import Acknowledged, acknowledge
from migration_ops.alerts.keeping import Evaluated, evaluate
from migration_ops.alerts.listing import Item, count_open, listing
from migration_ops.alerts.outbox import Delivered, deliver
from migration_ops.alerts.rounds import Rounds, make_round
from migration_ops.alerts.trying import Tried, attempt

__all__ = [
    "Acknowledged",
    "Delivered",
    "Evaluated",
    "Item",
    "Rounds",
    "Tried",
    "acknowledge",
    "attempt",
    "count_open",
    "deliver",
    "evaluate",
    "listing",
    "make_round",
]
