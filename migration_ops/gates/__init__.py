"""The one list of gates: computed checks, with evidence, that a step forward needs.

Which step needs which gates is said in `stages.TRANSITIONS`; here is how each is computed. Other parts of the engine
add theirs with `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from django.db import transaction

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import first_line
from migration_ops.gates import evidence, lag, latency, processes, rates, readiness, whole_runs
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.sentence import said

__all__ = ["EVALUATORS", "Evaluator", "Gate", "Verdict", "evaluate", "register", "register_all", "unregister"]

Evaluator = Callable[[AnyMigration], Gate]

EVALUATORS: Mapping[str, Evaluator] = {
    **evidence.EVALUATORS,
    **whole_runs.EVALUATORS,
    **rates.EVALUATORS,
    "processes": processes.processes,
    "sync_lag": lag.sync_lag,
    "read_latency": latency.read_latency,
    **readiness.EVALUATORS,
}
"""The gates the engine itself brings, by id."""

_evaluators: dict[str, tuple[Evaluator, Evaluator]] = {}


def register(gate_id: str, evaluator: Evaluator, *, fenced: Evaluator | None = None) -> None:
    """Say how this gate is computed.

    An evaluator reads and never writes. It is called once more inside the transition, while writers wait, and must
    take milliseconds there; `fenced` is what to ask then, for a gate that takes longer as a whole.

    Raises:
        ValueError: it is computed in another way already.
    """
    both = (evaluator, fenced or evaluator)
    if _evaluators.setdefault(gate_id, both) != both:
        raise ValueError(f"Gate {gate_id!r} has an evaluator already.")


def unregister(gate_id: str) -> None:
    """Forget how this gate is computed, e.g. one that a test brought."""
    _evaluators.pop(gate_id, None)


def evaluate(migration: AnyMigration, gate_ids: Iterable[str], *, fenced: bool = False) -> tuple[Gate, ...]:
    """These gates as they are now, in this order; `fenced` while writers wait.

    Never raises: what cannot be evaluated is closed, and says why.
    """
    return tuple(_evaluate(migration, gate_id, fenced) for gate_id in gate_ids)


def _evaluate(migration: AnyMigration, gate_id: str, fenced: bool) -> Gate:
    usual, while_writers_wait = _evaluators.get(gate_id, (None, None))
    evaluator = while_writers_wait if fenced else usual
    if evaluator is None:
        return Gate(
            id=gate_id,
            verdict=Verdict.INCONCLUSIVE,
            message=said(
                "No evaluator for gate %(gate)s is installed; this step stays closed until one is.", gate=gate_id
            ),
        )
    try:
        with transaction.atomic():
            return evaluator(migration)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with an evaluator, its gate must stay closed
        return Gate(
            id=gate_id,
            verdict=Verdict.ERROR,
            message=said(
                "Gate %(gate)s could not be evaluated: %(error)s: %(why)s",
                gate=gate_id,
                error=type(error).__name__,
                why=first_line(error),
            ),
        )


def register_all() -> None:
    """Register the gates the engine itself brings."""
    for gate_id, evaluator in EVALUATORS.items():
        register(gate_id, evaluator, fenced=evidence.WHILE_WRITERS_WAIT.get(gate_id))
