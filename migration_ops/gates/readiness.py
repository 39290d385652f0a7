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
from migration_ops.gates.wording import duration, percent
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.rollout import plan
from migration_ops.sentence import Sentence, said, word
from migration_ops.stages import Stage

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
    where = word(now.stage)
    if now.stage is Stage.RAMP:
        where = said("%(stage)s at %(percent)s", stage=where, percent=percent(now.percent))
    if not soak:
        message = said("%(where)s need not be watched for any time.", where=where)
    elif elapsed >= soak:
        message = said(
            "%(where)s has been watched for %(elapsed)s, and %(soak)s are enough.",
            where=where,
            elapsed=duration(elapsed),
            soak=duration(soak),
        )
    else:
        message = said(
            "%(where)s has been watched for %(elapsed)s of %(soak)s; wait for %(left)s more.",
            where=where,
            elapsed=duration(elapsed),
            soak=duration(soak),
            left=duration(soak - elapsed),
        )
    return _ready("soak_elapsed", elapsed >= soak, message, value=elapsed, threshold=soak)


def evaluator_alive(migration: AnyMigration) -> Gate:
    """The evaluator has computed the gates lately, so that somebody goes back when a step turns out badly."""
    age = heartbeat.age(migration, Role.EVALUATOR)
    longest = heartbeat.longest_silence(Role.EVALUATOR).total_seconds()
    alive = age is not None and age <= longest
    if age is None:
        message = said(
            "The evaluator was never heard of, and must have been within %(longest)s: nobody would go back by itself.",
            longest=duration(longest),
        )
    elif alive:
        message = said("The evaluator was last heard of %(age)s ago.", age=duration(age))
    else:
        message = said(
            "The evaluator was last heard of %(age)s ago, and must have been within %(longest)s: nobody would go back"
            " by itself.",
            age=duration(age),
            longest=duration(longest),
        )
    return _ready("evaluator_alive", alive, message, value=age, threshold=longest, age=age)


def cooled_down(migration: AnyMigration) -> Gate:
    """Reads have not gone back by themselves within `cool_down`."""
    wait, ago = settings().cool_down.total_seconds(), _seconds(_WENT_BACK, migration.name, Role.EVALUATOR.value)
    if ago is None:
        message = said("Reads have never gone back by themselves.")
    elif ago >= wait:
        message = said(
            "Reads went back by themselves %(ago)s ago; %(wait)s are enough.", ago=duration(ago), wait=duration(wait)
        )
    else:
        message = said(
            "Reads went back by themselves %(ago)s ago; find out why, and wait for %(left)s.",
            ago=duration(ago),
            left=duration(wait - ago),
        )
    return _ready("cooled_down", ago is None or ago >= wait, message, value=ago, threshold=wait)


EVALUATORS: Mapping[str, Callable[[AnyMigration], Gate]] = {
    evaluator.__name__: evaluator for evaluator in (evaluator_alive, cooled_down, soak_elapsed)
}
"""Evaluators by gate id."""


def _ready(
    gate_id: str, ready: bool, message: Sentence, *, value: float | None, threshold: float, age: float | None = None
) -> Gate:
    verdict = Verdict.PASS if ready else Verdict.INCONCLUSIVE
    return Gate(id=gate_id, verdict=verdict, message=message, value=value, threshold=threshold, age=age)


def _seconds(sql: str, *parameters: str) -> float | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = cursor.fetchone()
    return None if found is None or found[0] is None else max(0.0, float(found[0]))
