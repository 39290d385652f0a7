"""What people do with differences: look at one again, repair one, explain one."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from migration_ops import history
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused, UnusableInput
from migration_ops.models import STANDING, Difference, DifferenceStatus
from migration_ops.preparation import prepare
from migration_ops.sentence import said, word
from migration_ops.verify import lifecycle
from migration_ops.verify.difference_listing import SHOWN, all_of
from migration_ops.verify.look import Seen, look
from migration_ops.verify.repair import Repair, follower_now, plan_these, repair_these
from migration_ops.verify.snapshot import in_snapshot

EXPLAIN = "migration_ops.explain_migration"
REPAIR = "migration_ops.repair_migration"
"""The permissions that pages ask for; looking needs the one to see differences."""


def explain(migration: AnyMigration, ids: Collection[int], *, actor: str, reason: str) -> list[Difference]:
    """Say why these differences are there and may stay, by somebody's name; they open gates from then on.

    It counts for as long as both sides say what they say now. Explaining again replaces the reason.

    Raises:
        UnusableInput: no reason is given, or one of the ids is unknown or not standing; nothing was written.
        Refused: one is not what it was when it was found; look at it again first. Nothing was written.
    """
    refuse_unless_explained(reason)
    with transaction.atomic(durable=True):
        found = _standing(migration, ids)
        _refuse_if_changed(migration, found)
        now = timezone.now()
        for each in found:
            each.status, each.explained_at = DifferenceStatus.EXPLAINED, now
            each.explained_by, each.explanation = actor, reason.strip()
        Difference.objects.bulk_update(found, ["status", "explained_at", "explained_by", "explanation"])
        _remember(migration, "explain", found, actor=actor, reason=reason.strip())
    return found


def planned_explanation(migration: AnyMigration, ids: Collection[int], *, reason: str) -> list[Difference]:
    """What `explain` would explain; changes nothing.

    Raises:
        UnusableInput, Refused: as it would.
    """
    refuse_unless_explained(reason)
    found = _chosen(migration, ids)
    _refuse_if_changed(migration, found)
    return found


def reopen(migration: AnyMigration, ids: Collection[int], *, actor: str, reason: str = "") -> list[Difference]:
    """Take explanations back; what is explained no longer counts as such.

    Raises:
        UnusableInput: one of the ids is unknown or not explained; nothing was written.
    """
    with transaction.atomic(durable=True):
        found = planned_reopening(migration, ids, lock=True)
        for each in found:
            each.status = DifferenceStatus.CONFIRMED
            each.explained_at, each.explained_by, each.explanation = None, "", ""
        Difference.objects.bulk_update(found, ["status", "explained_at", "explained_by", "explanation"])
        _remember(migration, "reopen", found, actor=actor, reason=reason)
    return found


def planned_reopening(migration: AnyMigration, ids: Collection[int], *, lock: bool = False) -> list[Difference]:
    """What `reopen` would reopen; changes nothing.

    Raises:
        UnusableInput: as it would.
    """
    found = _standing(migration, ids) if lock else _chosen(migration, ids)
    for each in found:
        if each.status != DifferenceStatus.EXPLAINED:
            raise UnusableInput(
                said("Difference %(id)s is %(status)s and not explained.", id=str(each.pk), status=word(each.status))
            )
    return found


def look_again(migration: AnyMigration, ids: Collection[int], *, keep: bool = True) -> list[Difference]:
    """What these differences are now: gone, or there, maybe with other content. With `keep=False` nothing is written.

    Raises:
        UnusableInput: one of the ids is unknown or not standing.
        Unreadable: a store could not be read.
    """
    prepare(migration.legacy())
    keys = [each.key for each in _chosen(migration, ids)]
    seen = _look(migration, keys)
    with transaction.atomic(durable=True):
        found = _standing(migration, ids)
        for each in found:
            _update(each, seen[each.key])
        if keep:
            for each in found:
                each.save()
    return found


def repair(
    migration: AnyMigration, ids: Collection[int], *, actor: str, reason: str = "", delete_extras: bool = False
) -> Repair:
    """Make the follower equal to the authority where these differences are, as `repair.repair` does.

    Raises:
        UnusableInput: one of the ids is unknown or not standing.
        Refused: one is explained, so it has to be reopened first; or legacy is frozen or gone.
    """
    found = _repairable(migration, ids)
    return repair_these(migration, found, actor=actor, reason=reason, delete_extras=delete_extras)


def planned_repair(migration: AnyMigration, ids: Collection[int], *, delete_extras: bool = False) -> Repair:
    """What `repair` would do; changes nothing.

    Raises:
        UnusableInput, Refused: as it would.
    """
    would = Repair(side=follower_now(migration))
    plan_these(migration, _repairable(migration, ids), would, delete_extras=delete_extras)
    return would


def refuse_unless_explained(reason: str) -> None:
    """Whoever explains says why.

    Raises:
        UnusableInput: there is no reason.
    """
    if not reason.strip():
        raise UnusableInput(said("Say why these differences may stay (`--reason TEXT`)."))


def _repairable(migration: AnyMigration, ids: Collection[int]) -> list[Difference]:
    found = _chosen(migration, ids)
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


def _refuse_if_changed(migration: AnyMigration, found: Collection[Difference]) -> None:
    seen = _look_here(migration, [each.key for each in found])
    for each in found:
        if seen[each.key].digest != each.digest:
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


def _look(migration: AnyMigration, keys: list[str]) -> dict[str, Seen]:
    return in_snapshot(lambda _: _look_here(migration, keys), 1)


def _look_here(migration: AnyMigration, keys: list[str]) -> dict[str, Seen]:
    return look(migration, migration.legacy(), migration.modern(), keys).seen


def _standing(migration: AnyMigration, ids: Collection[int]) -> list[Difference]:
    """As `_chosen`, locked until the end of the transaction."""
    return _chosen(migration, ids, all_of(migration).select_for_update(of=("self",)))


def _chosen(
    migration: AnyMigration, ids: Collection[int], among: QuerySet[Difference] | None = None
) -> list[Difference]:
    if not ids:
        raise UnusableInput(said("Name the differences by their ids; `detect_drift list` shows them."))
    found = list((all_of(migration) if among is None else among).filter(pk__in=ids).order_by("pk"))
    unknown = sorted(set(ids) - {each.pk for each in found})
    if unknown:
        names = ", ".join(map(str, unknown))
        raise UnusableInput(said("No difference of %(name)s has the id %(ids)s.", name=migration.name, ids=names))
    for each in found:
        if each.status not in STANDING:
            raise UnusableInput(
                said(
                    "Difference %(id)s is %(status)s; there is nothing to do about it.",
                    id=str(each.pk),
                    status=word(each.status),
                )
            )
    return found


def _remember(migration: AnyMigration, verb: str, found: Iterable[Difference], *, actor: str, reason: str) -> None:
    """One entry in the history, which names the first of them; what they say stays out of it."""
    named = [{"id": each.pk, "kind": each.kind, "severity": each.severity} for each in found]
    evidence = {"differences": len(named), "items": named[:SHOWN]}
    history.append(migration, actor=actor, verb=f"difference {verb}", reason=reason, evidence=evidence)
