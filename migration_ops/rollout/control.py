"""Turns the dial: the services by which reads move forward, stand still and come back.

Forward goes through gates, which are computed before and again in the transaction that makes the step. Back goes at
once: no gate, no fence, nothing but the one row that every decision reads. Whatever is done is in the history, in the
same commit.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from migration_ops import state, transitions
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import FenceBusy, Refused
from migration_ops.gates import Gate, Verdict, opening
from migration_ops.gates.opening import Passage
from migration_ops.gates.overrides import Vouching
from migration_ops.gates.wording import percent as per_cent
from migration_ops.rollout import plan
from migration_ops.rollout.choosing import NOBODY, Canaries, canary, canary_off
from migration_ops.rollout.turning import Change, refuse_no_percent, turn
from migration_ops.rollout.vouching import vouch
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.state import State

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

AUTOMATIC = "automatic rollback"
"""What the history calls a rollback that nobody asked for."""


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
    following = plan.following(looked_at)
    if following is not None and following.stage is Stage.RAMP is looked_at.stage:
        said: dict[str, Any] = {"actor": actor, "reason": reason, "dry_run": dry_run, "override": override}
        return set_percent(migration, following.percent, version=looked_at.version, **said)
    step = transitions.advance(
        migration, actor=actor, reason=reason, dry_run=dry_run, version=looked_at.version, override=override
    )
    return Change(step.before, step.after, step.gates)


def set_percent(
    migration: AnyMigration,
    percent: Decimal,
    *,
    actor: str,
    reason: str = "",
    dry_run: bool = False,
    version: int | None = None,
    override: bool = False,
) -> Change:
    """This share of the units reads modern. Down at once; up through the gates, and no further than the plan's next
    percentage unless somebody vouches for that as well. Arguments and errors as for `advance`.

    Raises:
        UnusableInput: not a percentage from 0 to 100 with at most two decimals.
        Refused: the migration is not at `ramp`.
    """
    refuse_no_percent(percent)
    vouching = Vouching(actor, reason) if override else None
    looked_at = state.seen(migration, version)
    if looked_at.stage is not Stage.RAMP:
        raise Refused(
            said(
                "%(migration)s is at %(stage)s; a percentage of the units reads modern only at %(ramp)s.",
                migration=migration.name,
                stage=word(looked_at.stage),
                ramp=word(Stage.RAMP),
            )
        )
    found: tuple[Gate, ...] = ()
    if percent > looked_at.percent:
        transitions.not_held(looked_at)
        found = opening.look(migration, looked_at, _raise(looked_at, percent), vouching=vouching)
        opening.require(_raise(looked_at, percent), found)

    def turned(now: State) -> tuple[State, tuple[Gate, ...]]:
        after = replace(now, percent=percent)
        if percent <= now.percent:
            return after, ()
        transitions.not_held(now)
        return after, opening.pass_through(migration, now, _raise(now, percent), vouching=vouching, fenced=True)

    if dry_run:
        return Change(looked_at, replace(looked_at, percent=percent), found)
    return turn(migration, looked_at, turned, verb="set", actor=actor, reason=reason)


def hold(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """Nothing moves forward until somebody takes the hold off."""
    return _switch(migration, "hold", actor, reason, dry_run, version, hold=True)


def resume(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """Take the hold off."""
    return _switch(migration, "resume", actor, reason, dry_run, version, hold=False)


def kill(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """All reads go to legacy, from the next request of every process on; the percentage stays as it is.

    Raises:
        Refused: legacy is retired; there is nothing to go back to this way.
    """
    looked_at = state.seen(migration, version)
    _refuse_retired(looked_at)
    return _switch(migration, "kill", actor, reason, dry_run, version, kill=True)


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
    looked_at = state.seen(migration, version)
    _refuse_retired(looked_at)
    at = Stage.RAMP if looked_at.stage is Stage.LIVE else looked_at.stage
    back: dict[str, Any] = {
        "stage": at,
        "percent": NOBODY,
        "canary_percent": NOBODY,
        "hold": looked_at.hold or and_hold,
    }
    if dry_run:
        return Change(looked_at, replace(looked_at, **back))
    now = looked_at
    if looked_at.stage is Stage.LIVE:
        now = _back_from_live(migration, looked_at, actor=actor, reason=reason, on_hold=back["hold"])
    switch_off: dict[str, Any] = {} if looked_at.kill else {"kill": False}

    def turned(current: State) -> tuple[State, tuple[Gate, ...]]:
        return replace(current, **{**back, "stage": current.stage, **switch_off}), evidence

    return replace(turn(migration, now, turned, verb=verb, actor=actor, reason=reason), before=looked_at)


def _back_from_live(migration: AnyMigration, at: State, *, actor: str, reason: str, on_hold: bool) -> State:
    """Reads first, and on hold in the same commit: the stage may have to wait for writers."""
    killed = _switch(migration, "kill", actor, reason, False, at.version, kill=True, hold=on_hold).after
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


def _switch(
    migration: AnyMigration,
    verb: str,
    actor: str,
    reason: str,
    dry_run: bool,
    version: int | None,
    **to: Any,
) -> Change:
    looked_at = state.seen(migration, version)
    if dry_run:
        return Change(looked_at, replace(looked_at, **to))
    return turn(migration, looked_at, lambda now: (replace(now, **to), ()), verb=verb, actor=actor, reason=reason)


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


def _refuse_retired(now: State) -> None:
    if now.stage.position > Stage.LIVE.position:
        raise Refused(
            said(
                "%(migration)s is at %(stage)s: legacy is retired. `manage.py retire_legacy thaw` comes first.",
                migration=now.name,
                stage=word(now.stage),
            )
        )


def _raise(now: State, percent: Decimal) -> Passage:
    """Through the gates of the ramp, and by the plan: a percentage that leaves one of its steps out is a gate, too."""
    furthest = plan.next_percent(now.percent)
    gate = Gate(
        id="plan_followed",
        verdict=Verdict.PASS if percent <= furthest else Verdict.FAIL,
        message=said(
            "The plan goes from %(before)s to %(after)s next.",
            before=f"{now.percent.normalize():f}",
            after=per_cent(furthest),
        ),
        value=float(percent),
        threshold=float(furthest),
    )
    way = said("from %(source)s to %(target)s", source=f"{now.percent.normalize():f}", target=per_cent(percent))
    return Passage(way, plan.raised(now, percent).gates, exposes=True, more=(gate,))
