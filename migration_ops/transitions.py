"""Moves a migration from stage to stage: forward one step through its gates, or back.

A transition is one transaction: the fence is closed, so that no writer is between reading the stage and its commit; the
state is read again and must be the one that was decided on; the gates are computed again; capture is switched, the
stage changed, the history written, and everybody told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import OperationalError, connection, transaction

from migration_ops import blockers, conf, fence, guards, history, stages, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import FenceBusy, IllegalTransition, Refused
from migration_ops.failpoints import failpoint, label
from migration_ops.gates import Gate, opening
from migration_ops.gates.opening import Passage
from migration_ops.gates.overrides import Vouching
from migration_ops.locks import wait_at_most
from migration_ops.models import DirtyKey
from migration_ops.patience import DEADLOCK, LOCK_NOT_AVAILABLE, Patience, sqlstate
from migration_ops.sentence import joined, said, said_many, word
from migration_ops.stages import Stage, Transition
from migration_ops.state import State
from migration_ops.sync import capture

CHANGED = label("transition.changed")

BACKFILL_AGAIN = "Capture is off; what changes from now on is not seen, so a new backfill is needed."


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was made, or with a dry run would have been.

    Attributes:
        gates: the evidence it was made on; none for a way back.
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
) -> Step:
    """One stage forward, if every gate of the step is open before the fence is closed and again behind it.

    `version` is the state's version the actor decided on; by default the one there is now. A dry run changes nothing.
    With `override` the actor vouches for those closed gates for which that is possible.

    Raises:
        UnusableInput: an override without a reason.
        IllegalTransition: there is no stage further on.
        Refused: somebody put the migration on hold, or the step belongs to `retire_legacy`.
        GateClosed: not all gates pass; carries them.
        StageChanged: somebody else was faster.
        FenceBusy: writers, or holders of the legacy table, did not make way; names them.
    """
    seen = state.seen(migration, version)
    target = stages.next_stage(seen.stage)
    step = stages.transition(seen.stage, target) if target else None
    if step is None:
        raise IllegalTransition(
            said(
                "%(migration)s is at %(stage)s, the last stage; there is no way forward.",
                migration=migration.name,
                stage=word(seen.stage),
            )
        )
    _refuse_retiring(migration, step)
    refuse_stopped(seen)
    vouching = Vouching(actor, reason) if override else None
    found = opening.look(migration, seen, _passage(step), vouching=vouching)
    opening.require(_passage(step), found)
    if dry_run:
        return Step(seen, _moved(seen, step), found)
    return _make(migration, seen, step, actor=actor, reason=reason, vouching=vouching)


def back(
    migration: AnyMigration,
    target: Stage,
    *,
    actor: str,
    reason: str = "",
    dry_run: bool = False,
    version: int | None = None,
) -> Step:
    """To an earlier stage, without gates; possible on hold as well. `dry_run` and `version` as for `advance`.

    Raises:
        IllegalTransition: there is no way from the present stage to this one.
        Refused: the way back belongs to `retire_legacy`.
        StageChanged, FenceBusy: as for `advance`.
    """
    seen = state.seen(migration, version)
    step = stages.transition(seen.stage, target)
    if step is None or step.forward:
        there = joined(map(word, stages.earlier_stages(seen.stage)), by=", ") or said("no stage")
        raise IllegalTransition(
            said(
                "There is no way back from %(source)s to %(target)s; there is one to %(there)s.",
                source=word(seen.stage),
                target=word(target),
                there=there,
            )
        )
    _refuse_retiring(migration, step)
    if dry_run:
        return Step(seen, _moved(seen, step))
    return _make(migration, seen, step, actor=actor, reason=reason)


def _refuse_retiring(migration: AnyMigration, step: Transition) -> None:
    if max(step.source.position, step.target.position) >= Stage.FROZEN.position:
        raise Refused(
            said(
                "The step from %(source)s to %(target)s retires the legacy store of %(migration)s or brings it back;"
                " `manage.py retire_legacy` does that, with a second person.",
                source=word(step.source),
                target=word(step.target),
                migration=migration.name,
            )
        )


def refuse_stopped(now: State) -> None:
    """Nothing moves forward on hold, or while the kill switch is on.

    Raises:
        Refused: it is so.
    """
    if now.hold:
        raise Refused(
            said(
                "%(migration)s is on hold at %(stage)s: nothing moves forward until somebody takes the hold off.",
                migration=now.name,
                stage=word(now.stage),
            )
        )
    if now.kill:
        raise Refused(
            said(
                "The kill switch of %(migration)s is on: nothing moves forward until somebody takes it off.",
                migration=now.name,
            )
        )


def _passage(step: Transition) -> Passage:
    way = said("from %(source)s to %(target)s", source=word(step.source), target=word(step.target))
    return Passage(way, step.gates, exposes=step.target is Stage.LIVE)


def _moved(before: State, step: Transition) -> State:
    percent = before.percent
    if step.target.position < Stage.RAMP.position:
        percent = Decimal(0)
    elif step.target.position > Stage.RAMP.position:
        percent = Decimal(100)
    return replace(before, stage=step.target, percent=percent, version=before.version + 1)


def _make(
    migration: AnyMigration,
    seen: State,
    step: Transition,
    *,
    actor: str,
    reason: str,
    vouching: Vouching | None = None,
) -> Step:
    """Try the whole step until it gets its locks; each try makes others wait for a fraction of a second at most."""
    patience = Patience(conf.settings().schema_lock_patience)
    while True:
        try:
            with transaction.atomic(durable=True):
                return _attempt(migration, seen, step, actor=actor, reason=reason, vouching=vouching)
        except OperationalError as error:
            if sqlstate(error) not in (LOCK_NOT_AVAILABLE, DEADLOCK):
                raise
            if patience.is_over:
                tables = [captured.table for side in Side for captured in migration.store(side).captured_tables]
                raise FenceBusy(
                    said(
                        "The step from %(source)s to %(target)s got no lock for %(time)s; nothing was changed:"
                        " %(holders)s",
                        source=word(step.source),
                        target=word(step.target),
                        time=str(patience),
                        holders=blockers.of_tables_named(tables),
                    )
                ) from error
        patience.pause()


def _attempt(
    migration: AnyMigration,
    seen: State,
    step: Transition,
    *,
    actor: str,
    reason: str,
    vouching: Vouching | None,
) -> Step:
    wait_at_most(conf.settings().schema_lock_timeout)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, 'yes', true)", [guards.RECORDED])
    fence.close(migration)
    before = state.locked(migration, seen)
    if step.forward:
        refuse_stopped(before)
    found = opening.pass_through(migration, before, _passage(step), vouching=vouching)
    evidence: dict[str, Any] = {"version": before.version + 1, "step": before.step + 1}
    evidence["gates"] = [gate.as_dict() for gate in found]
    switched = _switch_capture(migration, step, Side.LEGACY)
    _switch_capture(migration, step, Side.MODERN)
    if switched is False:
        _refuse_to_leave_behind(migration)
        evidence["note"] = BACKFILL_AGAIN
    _write(migration, before, _moved(before, step), switched=switched)
    history.append(
        migration,
        actor=actor,
        verb="advance" if step.forward else "back",
        reason=reason,
        from_stage=step.source.value,
        to_stage=step.target.value,
        evidence=evidence,
    )
    state.tell(migration)
    failpoint(CHANGED)
    return Step(before, state.read(migration), found)


def _switch_capture(migration: AnyMigration, step: Transition, side: Side) -> bool | None:
    """Capture of this side as the new stage wants it; whether it was switched on or off, None where it stays."""
    captures, captured = (stage in stages.CAPTURING[side] for stage in (step.target, step.source))
    if captures and not captured:
        capture.install(migration, side=side)
    elif captured and not captures:
        capture.remove(migration, side=side)
    return captures if captures != captured else None


def _refuse_to_leave_behind(migration: AnyMigration) -> None:
    """What was written to modern and has not reached legacy yet would be lost where nobody carries it over any more."""
    waiting = DirtyKey.objects.filter(migration=migration.name, side=Side.MODERN.value).count()
    if waiting:
        raise Refused(
            said_many(
                "%(waiting)s change of the modern store of %(migration)s has not reached legacy yet and would be"
                " lost. Run `manage.py sync_changes` first.",
                "%(waiting)s changes of the modern store of %(migration)s have not reached legacy yet and would be"
                " lost. Run `manage.py sync_changes` first.",
                waiting,
                waiting=str(waiting),
                migration=migration.name,
            )
        )


def _write(migration: AnyMigration, before: State, after: State, *, switched: bool | None) -> None:
    capture_set = ""
    if switched is not None:
        lost = capture.lost_total()
        capture_set = f", capture_since = {'clock_timestamp()' if switched else 'NULL'}, capture_lost = {lost}"
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE migration_ops_migrationstate"
            f" SET stage = %s, percent = %s, version = %s, changed_at = clock_timestamp(){capture_set}"
            " WHERE name = %s AND version = %s",
            [after.stage.value, after.percent, after.version, migration.name, before.version],
        )
        if cursor.rowcount != 1:
            raise state.changed(state.read(migration))
