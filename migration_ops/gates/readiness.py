"""The gates that ask whether enough time has passed and whether somebody watches.

None of them ever fails: what is not there yet is no reason to go back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.db import connection

from migration_ops import state
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.wording import duration
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.rollout import plan
from migration_ops.stages import Stage

EVALUATIONS = 3
"""So many evaluations in a row may be missing before the evaluator is taken for dead."""

_AT_THIS_STEP = """
SELECT extract(epoch FROM clock_timestamp() - stepped_at)::float FROM migration_ops_migrationstate WHERE name = %s
"""

_WENT_BACK = """
SELECT extract(epoch FROM clock_timestamp() - at)::float FROM migration_ops_historyentry
 WHERE migration = %s AND actor = %s AND verb LIKE '%%rollback%%' ORDER BY id DESC LIMIT 1
"""


def soak_elapsed(migration: AnyMigration) -> Gate:
    """The present step has lasted as long as the plan wants it to be watched."""
    now = state.read(migration)
    soak, elapsed = plan.soak(now).total_seconds(), _seconds(_AT_THIS_STEP, migration.name) or 0.0
    where = f"{now.stage} at {now.percent.normalize():f} %" if now.stage is Stage.RAMP else now.stage.value
    if not soak:
        message = f"{where} need not be watched for any time."
    elif elapsed >= soak:
        message = f"{where} has been watched for {duration(elapsed)}, and {duration(soak)} are enough."
    else:
        left = duration(soak - elapsed)
        message = f"{where} has been watched for {duration(elapsed)} of {duration(soak)}; wait for {left} more."
    return _ready("soak_elapsed", elapsed >= soak, message, value=elapsed, threshold=soak)


def evaluator_alive(migration: AnyMigration) -> Gate:
    """The evaluator has computed the gates lately, so that somebody goes back when a step turns out badly."""
    age, longest = (
        heartbeat.age(migration, Role.EVALUATOR),
        (settings().evaluate_interval * EVALUATIONS).total_seconds(),
    )
    alive = age is not None and age <= longest
    heard = "was never heard of" if age is None else f"was last heard of {duration(age)} ago"
    wanted = "" if alive else f", and must have been within {duration(longest)}: nobody would go back by itself"
    return _ready("evaluator_alive", alive, f"The evaluator {heard}{wanted}.", value=age, threshold=longest, age=age)


def cooled_down(migration: AnyMigration) -> Gate:
    """Reads have not gone back by themselves within `cool_down`."""
    wait, ago = settings().cool_down.total_seconds(), _seconds(_WENT_BACK, migration.name, Role.EVALUATOR.value)
    if ago is None:
        message = "Reads have never gone back by themselves."
    elif ago >= wait:
        message = f"Reads went back by themselves {duration(ago)} ago; {duration(wait)} are enough."
    else:
        message = (
            f"Reads went back by themselves {duration(ago)} ago; find out why, and wait for {duration(wait - ago)}."
        )
    return _ready("cooled_down", ago is None or ago >= wait, message, value=ago, threshold=wait)


EVALUATORS: Mapping[str, Callable[[AnyMigration], Gate]] = {
    evaluator.__name__: evaluator for evaluator in (evaluator_alive, cooled_down, soak_elapsed)
}
"""Evaluators by gate id."""


def _ready(
    gate_id: str, ready: bool, message: str, *, value: float | None, threshold: float, age: float | None = None
) -> Gate:
    verdict = Verdict.PASS if ready else Verdict.INCONCLUSIVE
    return Gate(id=gate_id, verdict=verdict, message=message, value=value, threshold=threshold, age=age)


def _seconds(sql: str, *parameters: str) -> float | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = cursor.fetchone()
    return None if found is None or found[0] is None else max(0.0, float(found[0]))
