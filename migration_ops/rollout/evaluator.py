"""Computes the gates again and again, keeps what they said, and takes reads back when they clearly fail.

An evaluation that fails puts the migration on hold. Reads go back by themselves when a gate about reads fails so
clearly that chance explains it once in a thousand times, or fails `failures_in_a_row` times in a row. What is
inconclusive, or could not be evaluated, changes nothing: it neither promotes nor takes back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import Error, connection

from migration_ops import gates, state
from migration_ops.backfill.stop import Stop
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import MigrationOpsError
from migration_ops.gates import Gate, Verdict
from migration_ops.models import GateReading
from migration_ops.observe import heartbeat, retention
from migration_ops.observe.heartbeat import Role
from migration_ops.rollout import control, forward
from migration_ops.stages import Stage
from migration_ops.state import State

logger = logging.getLogger(__name__)

ACTOR = "evaluator"

TAKES_BACK = ("read_errors", "read_latency", "shadow_reads_clean")
"""Gates about reads: when they fail, families are better off with legacy."""

HOLDS = (*TAKES_BACK, "dual_write_success", "sync_lag")
"""Gates whose failure puts the migration on hold while units read modern."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found and done.

    Attributes:
        gates: those of the next step, and those that are watched while units read modern.
        done: "", `hold`, or `control.AUTOMATIC`.
    """

    state: State
    gates: tuple[Gate, ...]
    done: str = ""


def evaluate(migration: AnyMigration) -> Evaluation:
    """Compute the gates once, keep the readings, and act on clear failures.

    Raises:
        DatabaseError: the database is not there.
    """
    now = state.read(migration)
    found = gates.evaluate(migration, _watched(now))
    GateReading.objects.bulk_create(
        GateReading(
            migration=migration.name,
            step=now.step,
            gate=gate.id,
            verdict=gate.verdict.value,
            clear=gate.clear,
            evidence=gate.as_dict(),
        )
        for gate in found
    )
    heartbeat.beat(migration, Role.EVALUATOR)
    return Evaluation(state.read(migration), found, _act(migration, now, found))


def follow(
    migrations: Sequence[AnyMigration],
    *,
    stop: Stop,
    say: Callable[[str], None],
    beside: Callable[[AnyMigration], None],
) -> None:
    """Evaluate all of them every `evaluate_interval` until it is told to stop. Outlives a database that is away.

    Args:
        beside: is called for each migration after each evaluation, whether that succeeded or not; raises nothing and
            takes no time.
    """
    while not stop.requested:
        for migration in migrations:
            try:
                done = evaluate(migration)
                retention.purge()
            except (Error, MigrationOpsError) as error:
                say(f"{migration.name} could not be evaluated: {str(error).strip() or type(error).__name__}")
                connection.close()
            else:
                if done.done:
                    say(f"{migration.name}: {done.done}")
            beside(migration)
        stop.wait(settings().evaluate_interval.total_seconds())


def _watched(now: State) -> tuple[str, ...]:
    following = forward.following(now)
    ahead = following.gates if following else ()
    return tuple(dict.fromkeys([*ahead, *(HOLDS if _is_exposed(now) else ())]))


def _is_exposed(now: State) -> bool:
    """Whether families read modern; staff who ask for it do not count."""
    if now.kill:
        return False
    return now.stage is Stage.LIVE or (now.stage is Stage.RAMP and bool(now.percent or now.canary_percent or now.named))


def _act(migration: AnyMigration, now: State, found: Sequence[Gate]) -> str:
    if not _is_exposed(now):
        return ""
    failed = [gate for gate in found if gate.verdict is Verdict.FAIL]
    back = [gate for gate in failed if gate.id in TAKES_BACK and (gate.clear or _keeps_failing(migration, now, gate))]
    holding = [gate for gate in failed if gate.id in HOLDS]
    try:
        if back and (now.stage is Stage.LIVE or now.percent or now.canary_percent):
            control.rollback(
                migration,
                actor=ACTOR,
                reason=_sentences(back),
                version=now.version,
                evidence=tuple(back),
                verb=control.AUTOMATIC,
                and_hold=True,
            )
            logger.warning("%s: reads went back to legacy by themselves. %s", migration.name, _sentences(back))
            return control.AUTOMATIC
        if holding and not now.hold:
            control.hold(migration, actor=ACTOR, reason=_sentences(holding), version=now.version)
            logger.warning("%s was put on hold. %s", migration.name, _sentences(holding))
            return "hold"
    except MigrationOpsError as error:
        # Somebody else was faster; the next evaluation looks again.
        logger.warning("%s: the evaluator did not get through: %s", migration.name, error)
    return ""


def _keeps_failing(migration: AnyMigration, now: State, gate: Gate) -> bool:
    """Whether the last readings at this step, this one included, all say that it fails."""
    wanted = settings().failures_in_a_row
    readings = GateReading.objects.filter(migration=migration.name, gate=gate.id, step=now.step).order_by("-at", "-id")
    last = list(readings.values_list("verdict", flat=True)[:wanted])
    return len(last) == wanted and set(last) == {Verdict.FAIL.value}


def _sentences(failed: Sequence[Gate]) -> str:
    return " ".join(f"{gate.id}: {gate.message}" for gate in failed)
