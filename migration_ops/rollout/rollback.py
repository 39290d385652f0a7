"""Takes all reads back to legacy, from wherever they are."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from migration_ops import transitions
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import FenceBusy
from migration_ops.gates import Gate
from migration_ops.rollout.switches import refuse_retired
from migration_ops.rollout.turning import Change, insisted, switch, turn
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.state import State

AUTOMATIC = "automatic rollback"
"""What the history calls a rollback that nobody asked for."""

_NOBODY = Decimal(0)


def rollback(
    migration: AnyMigration,
    *,
    actor: str,
    reason: str = "",
    dry_run: bool = False,
    version: int | None = None,
    evidence: tuple[Gate, ...] = (),
    verb: str = "rollback",
    and_hold: bool = False,
) -> Change:
    """All units read legacy again: 0 %, and no share of canaries. Canaries by name, header and cookie stay.

    At `live` the kill switch goes on first; then the stage goes back to `ramp`, and the switch comes off at 0 %.

    Args:
        evidence: gates that failed; they go into the history.
        and_hold: put on hold as well.

    Raises:
        Refused: legacy is retired.
        FenceBusy: at `live`, the stage could not go back yet. Reads are at legacy all the same, by the kill switch.
    """
    threw = False

    def made(looked_at: State) -> Change:
        nonlocal threw
        refuse_retired(looked_at)
        back: dict[str, Any] = {
            "stage": Stage.RAMP if looked_at.stage is Stage.LIVE else looked_at.stage,
            "percent": _NOBODY,
            "canary_percent": _NOBODY,
            "hold": looked_at.hold or and_hold,
        }
        if dry_run:
            return Change(looked_at, replace(looked_at, **back))
        now = looked_at
        if looked_at.stage is Stage.LIVE:
            threw = threw or not looked_at.kill
            now = _back_from_live(migration, looked_at, actor=actor, reason=reason, on_hold=back["hold"])
        switch_off: dict[str, Any] = {"kill": False} if threw else {}

        def turned(current: State) -> tuple[State, tuple[Gate, ...]]:
            return replace(current, **{**back, "stage": current.stage, **switch_off}), evidence

        return replace(turn(migration, now, turned, verb=verb, actor=actor, reason=reason), before=looked_at)

    return insisted(migration, version, made)


def _back_from_live(migration: AnyMigration, at: State, *, actor: str, reason: str, on_hold: bool) -> State:
    """Reads first, and on hold in the same commit: the stage may have to wait for writers."""
    killed = switch(migration, "kill", actor=actor, reason=reason, looked_at=at, kill=True, hold=on_hold).after
    try:
        return transitions.back(migration, Stage.RAMP, actor=actor, reason=reason, version=killed.version).after
    except FenceBusy as error:
        raise FenceBusy(
            said(
                "All reads are at legacy, by the kill switch, but the stage is still %(stage)s; roll back again when"
                " writers make way. About the stage: %(why)s",
                stage=word(at.stage),
                why=str(error),
            )
        ) from error
