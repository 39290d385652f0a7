"""Vouches for gates ahead of a step, so that one person vouches and another makes the step."""

from __future__ import annotations

from django.db import transaction

from migration_ops import conf, history, state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused
from migration_ops.gates import opening, overrides
from migration_ops.gates.overrides import Vouching
from migration_ops.locks import wait_at_most
from migration_ops.rollout import forward
from migration_ops.rollout.turning import Change
from migration_ops.sentence import said, word


def vouch(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """The actor vouches for the closed gates of the next step, as far as that is possible, for `override_lifetime`.
    Nothing moves by it; whoever takes that step in time goes through.

    A dry run says which gates that would be, also before there is a reason.

    Raises:
        UnusableInput: no reason is given.
        Refused: there is no next step, or none of its closed gates can be vouched for.
        StageChanged: somebody else changed the migration in the meantime.
    """
    vouching = Vouching(actor, reason) if reason.strip() or not dry_run else None
    looked_at = state.seen(migration, version)
    following = forward.following(looked_at)
    if following is None:
        raise Refused(
            said(
                "%(migration)s is at %(stage)s, the last stage; there is no step to vouch for.",
                migration=migration.name,
                stage=word(looked_at.stage),
            )
        )
    passage = forward.passage(following)
    found = opening.look(migration, looked_at, passage)
    if not overrides.waivable(found, exposes=passage.exposes):
        raise Refused(said("None of the gates %(way)s is closed and can be vouched for.", way=passage.way))
    if vouching is None:
        return Change(looked_at, looked_at, found)
    if dry_run:
        return Change(looked_at, looked_at, overrides.vouched(found, vouching, exposes=passage.exposes))
    with transaction.atomic(durable=True):
        wait_at_most(conf.settings().fence_timeout)
        before = state.locked(migration, looked_at)
        waived = overrides.waivable(
            overrides.applied(migration, before, found, exposes=passage.exposes), exposes=passage.exposes
        )
        if not waived:
            raise Refused(said("Somebody else has just vouched for the gates %(way)s.", way=passage.way))
        overrides.grant(migration, before, waived, vouching)
        found = overrides.applied(migration, before, found, exposes=passage.exposes)
        history.append(
            migration,
            actor=actor,
            verb="override",
            reason=reason,
            from_stage=before.stage.value,
            to_stage=before.stage.value,
            evidence={"version": before.version, "step": before.step, "gates": [gate.as_dict() for gate in found]},
        )
    return Change(before, before, found)
