"""Overrides: somebody vouches, by name and with a reason, for gates that do not pass; at one step, and not for long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db.models import DateTimeField, ExpressionWrapper, Value
from django.db.models.functions import Now

from migration_ops import moment, stages
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ReasonMissing
from migration_ops.gates.gate import Gate
from migration_ops.models import GateOverride
from migration_ops.sentence import Sentence, said
from migration_ops.state import State


@dataclass(frozen=True, slots=True)
class Vouching:
    """Who vouches for closed gates, and why.

    Raises:
        ReasonMissing: no reason is given.
    """

    actor: str
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ReasonMissing(said("An override needs a reason (--reason TEXT); it stays in the history."))


def may_be_waived(gate_id: str, *, exposes: bool) -> bool:
    """Whether somebody may vouch for this gate. Not for the data itself where the step lets somebody read modern: what
    is not there cannot be argued into being there."""
    return not (exposes and gate_id in stages.DATA_GATES)


def waivable(found: Iterable[Gate], *, exposes: bool) -> list[str]:
    """Ids of the closed gates among these for which somebody may vouch."""
    return [gate.id for gate in found if not gate.is_open and may_be_waived(gate.id, exposes=exposes)]


def grant(migration: AnyMigration, now: State, gate_ids: Iterable[str], vouching: Vouching) -> GateOverride:
    """Waive these gates at the present step for `override_lifetime`. The caller writes the history."""
    until = ExpressionWrapper(Now() + Value(settings().override_lifetime), output_field=DateTimeField())
    made = GateOverride.objects.create(
        migration=migration.name,
        step=now.step,
        gates=sorted(gate_ids),
        actor=vouching.actor,
        reason=vouching.reason,
        expires_at=until,
    )
    made.refresh_from_db()
    return made


def applied(migration: AnyMigration, now: State, found: Sequence[Gate], *, exposes: bool) -> tuple[Gate, ...]:
    """These gates, each closed one that somebody vouches for with who, until when and why."""
    in_force = GateOverride.objects.filter(migration=migration.name, step=now.step, expires_at__gt=Now()).order_by("id")
    waived = {gate_id: override for override in in_force for gate_id in override.gates}
    closed = set(waivable(found, exposes=exposes)) & waived.keys()
    return tuple(replace(gate, waived=_sentence(waived[gate.id])) if gate.id in closed else gate for gate in found)


def vouched(found: Sequence[Gate], vouching: Vouching, *, exposes: bool) -> tuple[Gate, ...]:
    """These gates, as they would be if this were granted for all that can be waived."""
    closed = set(waivable(found, exposes=exposes))
    sentence = said("%(actor)s vouches for it: %(reason)s", actor=vouching.actor, reason=vouching.reason)
    return tuple(replace(gate, waived=sentence) if gate.id in closed else gate for gate in found)


def _sentence(override: GateOverride) -> Sentence:
    return said(
        "%(actor)s vouches for it until %(time)s: %(reason)s",
        actor=override.actor,
        time=moment.shown(override.expires_at),
        reason=override.reason,
    )
