"""What people do with differences: look at one again, repair one, explain one."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from migration_ops import history
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused, UnusableInput
from migration_ops.models import Difference, DifferenceStatus
from migration_ops.preparation import prepare
from migration_ops.sentence import said, word
from migration_ops.verify import difference_choice as choice
from migration_ops.verify import lifecycle
from migration_ops.verify.difference_listing import SHOWN
from migration_ops.verify.look import Seen, look
from migration_ops.verify.repair import Repair, follower_now, plan_these, repair_these
from migration_ops.verify.repair_step import Step
from migration_ops.verify.snapshot import in_snapshot

EXPLAIN = "migration_ops.explain_migration"
REPAIR = "migration_ops.repair_migration"
LOOK = "migration_ops.view_difference"
"""The permissions that pages ask for."""


@dataclass(frozen=True, slots=True)
class PlannedRepair:
    """What a repair would do.

    Attributes:
        would: the counts, and what would fail.
        fingerprint: given as `seen` to the repair itself, nothing is done but this.
    """

    items: list[Difference]
    would: Repair
    steps: dict[str, Step]
    fingerprint: str


def explain(
    migration: AnyMigration, ids: Collection[int], *, actor: str, reason: str, seen: str | None = None
) -> list[Difference]:
    """Say why these differences are there and may stay, by somebody's name; they open gates from then on.

    It counts for as long as both sides say what they say now. Explaining again replaces the reason.

    Args:
        seen: the fingerprint of what was looked at.

    Raises:
        UnusableInput: no reason is given, or one of the ids is unknown or not standing; nothing was written.
        SelectionChanged: they are not as they were `seen`; nothing was written.
        Refused: one is not what it was when it was found; look at it again first. Nothing was written.
        Unreadable: a store could not be read.
    """
    refuse_unless_explained(reason)
    found_now = _look_now(migration, ids)
    with transaction.atomic(durable=True):
        found = choice.locked(migration, ids)
        choice.refuse_unless_seen(choice.fingerprint(found), seen)
        _refuse_if_changed(found, found_now)
        now = timezone.now()
        for each in found:
            each.status, each.explained_at = DifferenceStatus.EXPLAINED, now
            each.explained_by, each.explanation = actor, reason.strip()
        Difference.objects.bulk_update(found, ["status", "explained_at", "explained_by", "explanation"])
        _remember(migration, "explain", found, actor=actor, reason=reason.strip())
    return found


def planned_explanation(migration: AnyMigration, ids: Collection[int]) -> list[Difference]:
    """What `explain` would explain, given a reason; changes nothing.

    Raises:
        UnusableInput, Refused, Unreadable: as it would.
    """
    found_now = _look_now(migration, ids)
    found = choice.chosen(migration, ids)
    _refuse_if_changed(found, found_now)
    return found


def reopen(
    migration: AnyMigration, ids: Collection[int], *, actor: str, reason: str = "", seen: str | None = None
) -> list[Difference]:
    """Take explanations back; what is explained no longer counts as such.

    Args:
        seen: the fingerprint of what was looked at.

    Raises:
        UnusableInput: one of the ids is unknown or not explained; nothing was written.
        SelectionChanged: they are not as they were `seen`; nothing was written.
    """
    with transaction.atomic(durable=True):
        found = choice.locked(migration, ids)
        choice.refuse_unless_seen(choice.fingerprint(found), seen)
        _refuse_unless_all_explained(found)
        for each in found:
            each.status = DifferenceStatus.CONFIRMED
            each.explained_at, each.explained_by, each.explanation = None, "", ""
        Difference.objects.bulk_update(found, ["status", "explained_at", "explained_by", "explanation"])
        _remember(migration, "reopen", found, actor=actor, reason=reason)
    return found


def planned_reopening(migration: AnyMigration, ids: Collection[int]) -> list[Difference]:
    """What `reopen` would reopen; changes nothing.

    Raises:
        UnusableInput: as it would.
    """
    found = choice.chosen(migration, ids)
    _refuse_unless_all_explained(found)
    return found


def look_again(migration: AnyMigration, ids: Collection[int], *, seen: str | None = None) -> list[Difference]:
    """Keep what these differences are now: gone, or there, maybe with other content.

    Args:
        seen: the fingerprint of what was known of them.

    Raises:
        UnusableInput: one of the ids is unknown or not standing.
        SelectionChanged: they are not as they were `seen`; nothing was written.
        Unreadable: a store could not be read.
    """
    found_now = _look_now(migration, ids)
    with transaction.atomic(durable=True):
        found = choice.locked(migration, ids)
        choice.refuse_unless_seen(choice.fingerprint(found), seen)
        for each in found:
            _update(each, found_now[each.key])
            each.save()
    return found


def planned_look(migration: AnyMigration, ids: Collection[int]) -> list[Difference]:
    """What `look_again` would keep; changes and locks nothing.

    Raises:
        UnusableInput, Unreadable: as it would.
    """
    found_now = _look_now(migration, ids)
    found = choice.chosen(migration, ids)
    for each in found:
        _update(each, found_now[each.key])
    return found


def repair(
    migration: AnyMigration,
    ids: Collection[int],
    *,
    actor: str,
    reason: str = "",
    delete_extras: bool = False,
    seen: str | None = None,
    patience: timedelta | None = None,
) -> Repair:
    """Make the follower equal to the authority where these differences are, as `repair.repair` does.

    Args:
        seen: the fingerprint of the plan that was looked at. What both sides say is compared with it again for each
            difference under its lock, so that nothing is written over what somebody wrote in the meantime.
        patience: how long to go on with further ones; those that are left then are `unreached`. None: until all are.

    Raises:
        UnusableInput: one of the ids is unknown or not standing.
        SelectionChanged: something else would be done than what was `seen`; nothing was written.
        Refused: one is explained, so it has to be reopened first; or legacy is frozen or gone.
    """
    agreed = None
    if seen is None:
        found = _repairable(migration, ids)
    else:
        planned = planned_repair(migration, ids, delete_extras=delete_extras)
        choice.refuse_unless_seen(planned.fingerprint, seen)
        found, agreed = planned.items, planned.steps
    until = None if patience is None else time.monotonic() + patience.total_seconds()
    return repair_these(
        migration,
        found,
        actor=actor,
        reason=reason,
        delete_extras=delete_extras,
        agreed=agreed,
        stop=lambda: until is not None and time.monotonic() > until,
    )


def planned_repair(migration: AnyMigration, ids: Collection[int], *, delete_extras: bool = False) -> PlannedRepair:
    """What `repair` would do; changes nothing.

    Raises:
        UnusableInput, Refused: as it would.
    """
    prepare(migration.legacy())
    would = Repair(side=follower_now(migration))
    found = _repairable(migration, ids)
    steps = list(plan_these(migration, found, would, delete_extras=delete_extras))
    fingerprint = choice.fingerprint(found, [*steps, *would.failed])
    return PlannedRepair(found, would, {step.key: step for step in steps}, fingerprint)


def refuse_unless_explained(reason: str) -> None:
    """Whoever explains says why.

    Raises:
        UnusableInput: there is no reason.
    """
    if not reason.strip():
        raise UnusableInput(said("Say why these differences may stay (`--reason TEXT`)."))


def _repairable(migration: AnyMigration, ids: Collection[int]) -> list[Difference]:
    found = choice.chosen(migration, ids)
    for each in found:
        if each.status == DifferenceStatus.EXPLAINED:
            raise Refused(
                said(
                    "Difference %(id)s was explained by %(actor)s; reopen it first.",
                    id=str(each.pk),
                    actor=each.explained_by,
                )
            )
    return found


def _refuse_unless_all_explained(found: Iterable[Difference]) -> None:
    for each in found:
        if each.status != DifferenceStatus.EXPLAINED:
            raise UnusableInput(
                said("Difference %(id)s is %(status)s and not explained.", id=str(each.pk), status=word(each.status))
            )


def _refuse_if_changed(found: Iterable[Difference], found_now: Mapping[str, Seen]) -> None:
    for each in found:
        if found_now[each.key].digest != each.digest:
            raise Refused(
                said(
                    "Difference %(id)s is not what it was when it was last looked at;"
                    " `manage.py detect_drift look %(id)s` shows what it is now.",
                    id=str(each.pk),
                )
            )


def _update(difference: Difference, seen: Seen) -> None:
    if not seen.verdict.kind.is_difference:
        difference.status, difference.closed_at = DifferenceStatus.GONE, timezone.now()
        return
    difference.status, difference.seen_at = lifecycle.after(difference, seen), timezone.now()
    lifecycle.describe(difference, seen)


def _look_now(migration: AnyMigration, ids: Collection[int]) -> dict[str, Seen]:
    """What both stores say at one moment where these differences are, by encoded key."""
    prepare(migration.legacy())
    keys = [each.key for each in choice.chosen(migration, ids)]
    return in_snapshot(lambda _: look(migration, migration.legacy(), migration.modern(), keys).seen, 1)


def _remember(migration: AnyMigration, verb: str, found: Iterable[Difference], *, actor: str, reason: str) -> None:
    """One entry in the history, which names the first of them; what they say stays out of it."""
    named = [{"id": each.pk, "kind": each.kind, "severity": each.severity} for each in found]
    evidence = {"differences": len(named), "items": named[:SHOWN]}
    history.append(migration, actor=actor, verb=f"difference {verb}", reason=reason, evidence=evidence)
