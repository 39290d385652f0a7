"""The two switches beside the percentage: hold, which stops what goes forward, and kill, which takes all reads back."""

from __future__ import annotations

from dataclasses import replace

from migration_ops import state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused
from migration_ops.gates import Gate
from migration_ops.rollout.turning import Change, insisted, switch, turn
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.state import State


def hold(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """Nothing moves forward until somebody takes the hold off."""

    def made(looked_at: State) -> Change:
        return switch(migration, "hold", actor=actor, reason=reason, dry_run=dry_run, looked_at=looked_at, hold=True)

    return insisted(migration, version, made)


def resume(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """Take the hold off."""
    looked_at = state.seen(migration, version)
    return switch(migration, "resume", actor=actor, reason=reason, dry_run=dry_run, looked_at=looked_at, hold=False)


def kill(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """All reads go to legacy, from the next request of every process on; the percentage stays as it is.

    Raises:
        Refused: legacy is retired; there is nothing to go back to this way.
    """

    def made(looked_at: State) -> Change:
        refuse_retired(looked_at)
        return switch(migration, "kill", actor=actor, reason=reason, dry_run=dry_run, looked_at=looked_at, kill=True)

    return insisted(migration, version, made)


def unkill(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """Take the kill switch off: reads go where stage and percentage say.

    Raises:
        Refused: on hold, and somebody would read modern by it: that is a step forward as any other.
    """
    looked_at = state.seen(migration, version)
    _refuse_forward_on_hold(looked_at)

    def turned(now: State) -> tuple[State, tuple[Gate, ...]]:
        _refuse_forward_on_hold(now)
        return replace(now, kill=False), ()

    if dry_run:
        return Change(looked_at, replace(looked_at, kill=False))
    return turn(migration, looked_at, turned, verb="unkill", actor=actor, reason=reason)


def _refuse_forward_on_hold(now: State) -> None:
    """Nobody's reads go to modern on hold, not by the kill switch coming off either."""
    if now.kill and now.hold and replace(now, kill=False).serves_modern:
        raise Refused(
            said(
                "%(migration)s is on hold at %(stage)s, and without the kill switch reads would go to modern again."
                " Take the hold off first.",
                migration=now.name,
                stage=word(now.stage),
            )
        )


def refuse_retired(now: State) -> None:
    """Reads go back only as long as legacy is in use.

    Raises:
        Refused: legacy is retired; says what comes first.
    """
    if now.stage.position > Stage.LIVE.position:
        raise Refused(
            said(
                "%(migration)s is at %(stage)s: legacy is retired. `manage.py retire_legacy thaw` comes first.",
                migration=now.name,
                stage=word(now.stage),
            )
        )
