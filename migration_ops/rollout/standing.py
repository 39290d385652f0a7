"""How the rollout stands, in one look: for the command, the admin and whoever watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migration_ops import history, state
from migration_ops.definition import AnyMigration
from migration_ops.gates import Gate, opening
from migration_ops.models import HistoryEntry
from migration_ops.rollout import canaries, forward, self_test
from migration_ops.rollout.forward import Next
from migration_ops.state import State


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the rollout stands.

    Attributes:
        following: the next step; None at the end.
        gates: those of the next step as they are now, with overrides in force.
    """

    state: State
    following: Next | None
    gates: tuple[Gate, ...]

    @property
    def is_eligible(self) -> bool:
        """Whether `rollout advance` would go through now."""
        here = self.state
        return (
            self.following is not None and not here.hold and not here.kill and all(gate.is_open for gate in self.gates)
        )


def look(migration: AnyMigration) -> Standing:
    """The standing now; computes the gates."""
    now = state.read(migration)
    following = forward.following(now)
    if following is None:
        return Standing(now, None, ())
    return Standing(now, following, opening.look(migration, now, forward.passage(following)))


def as_dict(migration: AnyMigration, standing: Standing, *, entries: int = 20) -> dict[str, Any]:
    """The standing as JSON shows it, with the latest entries of the history."""
    now = standing.state
    measured = self_test.last_figure(migration)
    return {
        "migration": migration.name,
        "stage": now.stage.value,
        "percent": float(now.percent),
        "hold": now.hold,
        "kill": now.kill,
        "version": now.version,
        "step": now.step,
        "stepped_at": now.stepped_at and now.stepped_at.isoformat(),
        "canary": {
            "header": now.canary_header,
            "cookie": now.canary_cookie,
            "percent": float(now.canary_percent),
            "named": now.named,
        },
        "canary_people": {
            "named": now.named_people,
            "most": canaries.most(now.people),
            "too_many": canaries.too_many(now),
        },
        "next": str(standing.following) if standing.following else None,
        "eligible": standing.is_eligible,
        "gates": [gate.as_dict() for gate in standing.gates],
        "kill_seen_ms": measured and measured.evidence["last_ms"],
        "history": [entry(each) for each in history.entries(migration)[:entries]],
    }


def entry(found: HistoryEntry) -> dict[str, Any]:
    """One entry of the history: who did what, why, from where to where."""
    before, after = found.evidence.get("before") or {}, found.evidence.get("after") or {}
    return {
        "number": found.pk,
        "at": found.at.isoformat(),
        "actor": found.actor,
        "verb": found.verb,
        "from": found.from_stage,
        "to": found.to_stage,
        "from_percent": _number(before.get("percent")),
        "to_percent": _number(after.get("percent")),
        "reason": found.reason,
        "vouched_for": history.vouched_for(found),
        "gates": [
            {name: gate.get(name) for name in ("id", "verdict", "value", "n", "k", "threshold", "bound", "waived")}
            for gate in found.evidence.get("gates") or ()
        ],
    }


def _number(said: Any) -> float | None:
    return None if said is None else float(said)
