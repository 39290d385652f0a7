"""Sets the share of the units that reads modern at `ramp`: down at once, up through gates and by the plan."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from migration_ops import state, transitions
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused
from migration_ops.gates import Gate, Verdict, opening
from migration_ops.gates.opening import Passage
from migration_ops.gates.overrides import Vouching
from migration_ops.gates.wording import percent as per_cent
from migration_ops.rollout import forward, plan
from migration_ops.rollout.turning import Change, insisted, refuse_no_percent, turn
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.state import State


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
    percentage unless somebody vouches for that as well. Arguments and errors as for `control.advance`.

    Raises:
        UnusableInput: not a percentage from 0 to 100 with at most two decimals.
        Refused: the migration is not at `ramp`.
    """
    refuse_no_percent(percent)
    vouching = Vouching(actor, reason) if override else None

    def made(looked_at: State) -> Change:
        _refuse_off_the_ramp(looked_at)
        found: tuple[Gate, ...] = ()
        if percent > looked_at.percent:
            transitions.refuse_stopped(looked_at)
            found = opening.look(migration, looked_at, _up(looked_at, percent), vouching=vouching)
            opening.require(_up(looked_at, percent), found)

        def turned(now: State) -> tuple[State, tuple[Gate, ...]]:
            after = replace(now, percent=percent)
            if percent <= now.percent:
                return after, ()
            transitions.refuse_stopped(now)
            return after, opening.pass_through(migration, now, _up(now, percent), vouching=vouching)

        if dry_run:
            return Change(looked_at, replace(looked_at, percent=percent), found)
        return turn(migration, looked_at, turned, verb="set", actor=actor, reason=reason)

    at = state.seen(migration, version)
    return insisted(migration, version, made) if percent <= at.percent else made(at)


def _refuse_off_the_ramp(now: State) -> None:
    if now.stage is not Stage.RAMP:
        raise Refused(
            said(
                "%(migration)s is at %(stage)s; a percentage of the units reads modern only at %(ramp)s.",
                migration=now.name,
                stage=word(now.stage),
                ramp=word(Stage.RAMP),
            )
        )


def _up(now: State, percent: Decimal) -> Passage:
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
    return Passage(way, forward.raised(now, percent).gates, exposes=True, more=(gate,))
