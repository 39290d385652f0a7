"""Selectors: what the evaluator found when it last looked, without computing a gate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from migration_ops.definition import AnyMigration
from migration_ops.gates import overrides
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.state import State

# One look into the index for each gate, after months of readings too.
_LATEST = """
SELECT wanted.gate, reading.verdict, extract(epoch FROM clock_timestamp() - reading.at)::float
  FROM unnest(%s::text[]) AS wanted (gate),
       LATERAL (SELECT verdict, step, at FROM migration_ops_gatereading
                 WHERE migration = %s AND gate = wanted.gate ORDER BY at DESC LIMIT 1) AS reading
 WHERE reading.step = %s
 ORDER BY wanted.gate
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One gate as it was found.

    Attributes:
        is_open: it passed, or somebody vouches for it now.
        age: seconds since then.
    """

    gate: str
    verdict: Verdict
    is_open: bool
    age: float


def latest(migration: AnyMigration, now: State, gate_ids: Iterable[str], *, exposes: bool) -> list[Reading]:
    """The last reading of each of these gates, if it was made at the present step: another one says nothing about it.

    Args:
        exposes: whether the step that needs them lets more units read modern, as `overrides.applied` wants to know.
    """
    parameters: list[Any] = [list(gate_ids), migration.name, now.step]
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, parameters)
        found = cursor.fetchall()
    gates = [Gate(id=gate, verdict=Verdict(verdict), message="") for gate, verdict, _ in found]
    gates = list(overrides.applied(migration, now, gates, exposes=exposes))
    return [
        Reading(gate.id, gate.verdict, gate.is_open, max(0.0, age))
        for gate, (_, _, age) in zip(gates, found, strict=True)
    ]
