"""Turns the dial: the services by which reads move forward, stand still and come back.

Forward goes through gates, which are computed before and again in the transaction that makes the step. Back goes at
once: no gate, no fence, nothing but the one row that every decision reads. Whatever is done is in the history, in the
same commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from migration_ops import conf, guards, history, state, transitions
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused, StageChanged, UnusableInput
from migration_ops.gates import Gate, Verdict, opening
from migration_ops.gates.opening import Passage
from migration_ops.gates.overrides import Vouching
from migration_ops.models import Flag, MigrationState
from migration_ops.patience import milliseconds
from migration_ops.rollout import plan
from migration_ops.stages import DATA_GATES, Stage
from migration_ops.state import State

NOBODY = Decimal(0)

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, or with a dry run would have been; nothing where `before` and `after` are equal.

    Attributes:
        gates: the evidence of a step forward.
    """

    before: State
    after: State
    gates: tuple[Gate, ...] = ()


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
    seen = _seen(migration, version)
    following = plan.following(seen)
    if following is not None and following.stage is Stage.RAMP is seen.stage:
        said: dict[str, Any] = {"actor": actor, "reason": reason, "dry_run": dry_run, "override": override}
        return set_percent(migration, following.percent, version=seen.version, **said)
    step = transitions.advance(
        migration, actor=actor, reason=reason, dry_run=dry_run, version=seen.version, override=override
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
    _refuse_no_percent(percent)
    vouching = Vouching(actor, reason) if override else None
    seen = _seen(migration, version)
    if seen.stage is not Stage.RAMP:
        raise Refused(
            f"{migration.name} is at {seen.stage}; a percentage of the units reads modern only at {Stage.RAMP}."
        )
    found: tuple[Gate, ...] = ()
    if percent > seen.percent:
        transitions.not_held(seen)
        found = opening.look(migration, seen, _raise(seen, percent), vouching=vouching)
        opening.require(_raise(seen, percent), found)

    def turned(now: State) -> tuple[State, tuple[Gate, ...]]:
        after = replace(now, percent=percent)
        if percent <= now.percent:
            return after, ()
        transitions.not_held(now)
        return after, opening.pass_through(migration, now, _raise(now, percent), vouching=vouching, fenced=True)

    if dry_run:
        return Change(seen, replace(seen, percent=percent), found)
    return _turn(migration, seen, turned, verb="set", actor=actor, reason=reason)


def canary(
    migration: AnyMigration,
    *,
    actor: str,
    reason: str = "",
    header: str | None = None,
    cookie: str | None = None,
    percent: Decimal | None = None,
    dry_run: bool = False,
    version: int | None = None,
) -> Change:
    """Choose the canaries: by which header staff ask for a store, by which cookie, and which share of the units reads
    modern outside of the plan. What is None stays; "" takes a name away. A larger share needs the gates that say
    whether the data is there, and nobody can vouch for them.

    Raises:
        UnusableInput: no name of a header or cookie, or no percentage up to `canary_share_most`.
        GateClosed, Refused, StageChanged: as for `advance`.
    """
    for what, name in (("header", header), ("cookie", cookie)):
        _refuse_no_token(what, name)
    most = Decimal(conf.settings().canary_share_most)
    if percent is not None:
        _refuse_no_percent(percent)
        if percent > most:
            raise UnusableInput(f"At most {most} % of the units can be canaries; `rollout set` follows the plan.")
    seen = _seen(migration, version)
    chosen: dict[str, Any] = {
        field: value
        for field, value in (("canary_header", header), ("canary_cookie", cookie), ("canary_percent", percent))
        if value is not None
    }
    wider = chosen.get("canary_percent", NOBODY) > seen.canary_percent
    passage = Passage("to more canaries", DATA_GATES, exposes=True)
    found: tuple[Gate, ...] = ()
    if wider:
        transitions.not_held(seen)
        found = opening.look(migration, seen, passage)
        opening.require(passage, found)

    def turned(now: State) -> tuple[State, tuple[Gate, ...]]:
        through = opening.pass_through(migration, now, passage, fenced=True) if wider else ()
        return replace(now, **chosen), through

    if dry_run:
        return Change(seen, replace(seen, **chosen), found)
    return _turn(migration, seen, turned, verb="canary", actor=actor, reason=reason)


def canary_off(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """No canaries any more: no header, no cookie, no share, nobody by name."""
    seen = _seen(migration, version)
    off: dict[str, Any] = {"canary_header": "", "canary_cookie": "", "canary_percent": NOBODY, "named": False}
    if dry_run:
        return Change(seen, replace(seen, **off))

    def turned(now: State) -> tuple[State, tuple[Gate, ...]]:
        for flag in Flag.objects.filter(name=migration.name):
            flag.users.clear()
            flag.groups.clear()
        return replace(now, **off), ()

    return _turn(migration, seen, turned, verb="canary", actor=actor, reason=reason)


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
    seen = _seen(migration, version)
    if seen.stage.position > Stage.LIVE.position:
        raise Refused(
            f"{migration.name} is at {seen.stage}: legacy is retired. `manage.py retire_legacy thaw` comes first."
        )
    return _switch(migration, "kill", actor, reason, dry_run, version, kill=True)


def unkill(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """Take the kill switch off: reads go where stage and percentage say."""
    return _switch(migration, "unkill", actor, reason, dry_run, version, kill=False)


def rollback(
    migration: AnyMigration,
    *,
    actor: str,
    reason: str = "",
    dry_run: bool = False,
    version: int | None = None,
    verb: str = "rollback",
    and_hold: bool = False,
) -> Change:
    """All units read legacy again: 0 %, and no share of canaries. Canaries by name, header and cookie stay.

    At `live` the kill switch goes on first; then the stage goes back to `ramp`, and the switch comes off at 0 %.

    Args:
        and_hold: put on hold as well.

    Raises:
        Refused: legacy is retired.
        FenceBusy: at `live`, the stage could not go back yet. Reads are at legacy all the same, by the kill switch.
    """
    seen = _seen(migration, version)
    if seen.stage.position > Stage.LIVE.position:
        raise Refused(
            f"{migration.name} is at {seen.stage}: legacy is retired. `manage.py retire_legacy thaw` comes first."
        )
    at = Stage.RAMP if seen.stage is Stage.LIVE else seen.stage
    back: dict[str, Any] = {"stage": at, "percent": NOBODY, "canary_percent": NOBODY, "hold": seen.hold or and_hold}
    if dry_run:
        return Change(seen, replace(seen, **back))
    now = seen
    if seen.stage is Stage.LIVE:
        killed = kill(migration, actor=actor, reason=reason, version=seen.version).after
        now = transitions.back(migration, Stage.RAMP, actor=actor, reason=reason, version=killed.version).after
    switch_off: dict[str, Any] = {} if seen.kill else {"kill": False}

    def turned(current: State) -> tuple[State, tuple[Gate, ...]]:
        return replace(current, **{**back, "stage": current.stage, **switch_off}), ()

    return replace(_turn(migration, now, turned, verb=verb, actor=actor, reason=reason), before=seen)


def _switch(
    migration: AnyMigration,
    verb: str,
    actor: str,
    reason: str,
    dry_run: bool,
    version: int | None,
    **to: Any,
) -> Change:
    seen = _seen(migration, version)
    if dry_run:
        return Change(seen, replace(seen, **to))
    return _turn(migration, seen, lambda now: (replace(now, **to), ()), verb=verb, actor=actor, reason=reason)


def _refuse_retired(now: State) -> None:
    if now.stage.position > Stage.LIVE.position:
        raise Refused(f"{now.name} is at {now.stage}: legacy is retired. `manage.py retire_legacy thaw` comes first.")


def _raise(now: State, percent: Decimal) -> Passage:
    """Through the gates of the ramp, and by the plan: a percentage that leaves one of its steps out is a gate, too."""
    furthest = plan.next_percent(now.percent)
    gate = Gate(
        id="plan_followed",
        verdict=Verdict.PASS if percent <= furthest else Verdict.FAIL,
        message=f"The plan goes from {now.percent.normalize():f} to {furthest.normalize():f} % next.",
        value=float(percent),
        threshold=float(furthest),
    )
    sentence = f"from {now.percent.normalize():f} to {percent.normalize():f} %"
    return Passage(sentence, plan.raised(now, percent).gates, exposes=True, more=(gate,))


def _seen(migration: AnyMigration, version: int | None) -> State:
    seen = state.read(migration)
    if version is not None and version != seen.version:
        raise _changed(seen)
    return seen


def _changed(now: State) -> StageChanged:
    return StageChanged(
        f"{now.name} is at {now.stage} and {now.percent.normalize():f} % now: somebody else changed it in the meantime."
        " Look again and decide anew."
    )


_COLUMNS = ("percent", "hold", "kill", "canary_header", "canary_cookie", "canary_percent")


def _turn(
    migration: AnyMigration,
    seen: State,
    turned: Callable[[State], tuple[State, tuple[Gate, ...]]],
    *,
    verb: str,
    actor: str,
    reason: str,
) -> Change:
    """Make the row say what `turned` makes of it, write the history and tell everybody; a change of nothing is none."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true), set_config(%s, 'yes', true)",
            [milliseconds(conf.settings().fence_timeout), guards.RECORDED],
        )
        MigrationState.objects.bulk_create([MigrationState(name=migration.name)], ignore_conflicts=True)
        before = state.read(migration, lock=True)
        if before.version != seen.version:
            raise _changed(before)
        wanted, found = turned(before)
        if wanted == before:
            return Change(before, before, found)
        Flag.objects.get_or_create(name=migration.name)
        cursor.execute(
            f"UPDATE migration_ops_migrationstate SET {', '.join(f'{name} = %s' for name in _COLUMNS)},"
            " version = version + 1, changed_at = clock_timestamp() WHERE name = %s",
            [*(getattr(wanted, name) for name in _COLUMNS), migration.name],
        )
        after = state.read(migration)
        _record(migration, before, after, found, verb=verb, actor=actor, reason=reason)
        cursor.execute("SELECT pg_notify(%s, %s)", [state.CHANNEL, migration.name])
    return Change(before, after, found)


def _record(
    migration: AnyMigration,
    before: State,
    after: State,
    found: tuple[Gate, ...],
    *,
    verb: str,
    actor: str,
    reason: str,
) -> None:
    evidence: Mapping[str, Any] = {
        "version": after.version,
        "step": after.step,
        "before": {name: getattr(before, name) for name in _COLUMNS},
        "after": {name: getattr(after, name) for name in _COLUMNS},
        "gates": [gate.as_dict() for gate in found],
    }
    history.append(
        migration,
        actor=actor,
        verb=verb,
        reason=reason,
        from_stage=before.stage.value,
        to_stage=after.stage.value,
        evidence=evidence,
    )


def _refuse_no_percent(percent: Decimal) -> None:
    if not percent.is_finite() or not 0 <= percent <= 100 or percent != round(percent, 2):
        raise UnusableInput(f"{percent} is no percentage from 0 to 100 with at most two decimals.")


def _refuse_no_token(what: str, name: str | None) -> None:
    if name and (len(name) > 100 or not _TOKEN.fullmatch(name)):
        raise UnusableInput(f"{name!r} cannot be the name of a {what}: write letters, digits, - and _ (at most 100).")
