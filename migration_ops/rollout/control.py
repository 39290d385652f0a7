"""The dial, by the names of its verbs: the services by which reads move forward, stand still and come back.

Forward goes through gates, which are computed before and again in the transaction that makes the step. Back goes at
once: no gate, no fence, nothing but the one row that every decision reads. Whatever is done is in the history, in the
same commit.
"""

from __future__ import annotations

from migration_ops import state, transitions
from migration_ops.definition import AnyMigration
from migration_ops.rollout import forward
from migration_ops.rollout.choosing import Canaries, canary, canary_off
from migration_ops.rollout.ramping import set_percent
from migration_ops.rollout.rollback import AUTOMATIC, rollback
from migration_ops.rollout.switches import hold, kill, resume, unkill
from migration_ops.rollout.turning import Change
from migration_ops.rollout.vouching import vouch
from migration_ops.stages import Stage

__all__ = [
    "AUTOMATIC",
    "Canaries",
    "Change",
    "advance",
    "canary",
    "canary_off",
    "hold",
    "kill",
    "resume",
    "rollback",
    "set_percent",
    "unkill",
    "vouch",
]


def advance(
    migration: AnyMigration,
    *,
    actor: str,
    reason: str = "",
    dry_run: bool = False,
    version: int | None = None,
    override: bool = False,
) -> Change:
    """The next step, whatever it is: a stage, or at `ramp` the plan's next percentage.

    Args:
        version: the state's version the actor decided on; by default the one there is now.
        override: the actor vouches for closed gates, as far as that is possible.

    Raises:
        GateClosed: a gate of the step is closed; carries all of them.
        Refused: on hold, or killed, or the step belongs to `retire_legacy`.
        StageChanged: somebody else was faster.
        UnusableInput: an override without a reason.
        IllegalTransition, FenceBusy: as `transitions.advance`.
    """
    looked_at = state.seen(migration, version)
    following = forward.following(looked_at)
    if following is not None and following.stage is Stage.RAMP is looked_at.stage:
        return set_percent(
            migration,
            following.percent,
            actor=actor,
            reason=reason,
            dry_run=dry_run,
            version=looked_at.version,
            override=override,
        )
    step = transitions.advance(
        migration, actor=actor, reason=reason, dry_run=dry_run, version=looked_at.version, override=override
    )
    return Change(step.before, step.after, step.gates)
