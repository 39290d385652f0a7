"""Makes the follower equal to the authority again, where a validation found that it is not.

One transaction a key: lock it, look once more, keep what the follower had, write. A key that cannot be repaired, or
that others hold for longer than `KEY_PATIENCE` or its rows for longer than `ROW_PATIENCE`, does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from migration_ops import history, locks, stages, state
from migration_ops.backfill.errors import sentence
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import MigrationOpsError, Refused
from migration_ops.failpoints import failpoint, label
from migration_ops.models import UNSETTLED, BeforeImage, Difference, DifferenceStatus
from migration_ops.preparation import prepare
from migration_ops.rollout import routing
from migration_ops.stages import Stage
from migration_ops.sync import carry, dirty, imported, origin
from migration_ops.verify import strays
from migration_ops.verify.compare import judge
from migration_ops.verify.snapshot import snapshot
from migration_ops.verify.strays import Removal
from migration_ops.verify.validation import Validation

KEY_REPAIRED = label("repair_key_repaired")


class Action(StrEnum):
    """What is done about one difference."""

    SAVE = "save"
    DELETE = "delete"
    KEEP = "keep"
    """The authority does not have it; nobody asked for it to be removed."""

    NOTHING = "nothing"
    """It is equal by now."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A key that could not be repaired, and why."""

    key: str
    message: str


@dataclass(slots=True)
class Repair:
    """What was done, or in a dry run would be done; encoded keys, and how many of each kind.

    Attributes:
        side: the follower, where it is written; at `ramp` the one of units that are still served from legacy.
        saved, deleted: changed.
        gone: equal already when looked at under the lock.
        kept: extras that nobody asked to remove.
        failed: those that could not be repaired.
        strays: what became of rows that belong to no document.
    """

    side: Side
    saved: int = 0
    deleted: int = 0
    gone: int = 0
    kept: int = 0
    failed: list[Failure] = field(default_factory=list)
    strays: Removal = field(default_factory=Removal)

    @property
    def changed(self) -> int:
        return self.saved + self.deleted

    @property
    def left(self) -> int:
        """Differences that are still there, rows that belong to no document among them."""
        return self.kept + len(self.failed) + self.strays.left


@dataclass(frozen=True, slots=True)
class _Found:
    action: Action
    target: Any | None


def repair(
    validation: Validation,
    *,
    actor: str,
    reason: str = "",
    delete_extras: bool = False,
    told: Callable[[], None] = lambda: None,
) -> Repair:
    """Repair every difference of this validation, and remove its strays; a second time there is nothing to do.

    The store in authority has the word; at `ramp` that is the one from which the key's unit is served. Extras are
    removed only with `delete_extras`, and never after a validation that did not see everything. For strays see
    `strays.remove`.

    Raises:
        Refused: legacy is frozen or gone.
    """
    migration = validation.migration
    done = Repair(side=follower_now(migration))
    extras = delete_extras and validation.complete
    _repair_each(migration, validation.differences(), actor, extras, done, told)
    done.strays = strays.remove(migration, validation.strays, complete=validation.complete, actor=actor)
    _remember(migration, done, actor=actor, reason=reason, run=validation.run.pk)
    return done


def repair_these(
    migration: AnyMigration,
    differences: Iterable[Difference],
    *,
    actor: str,
    reason: str = "",
    delete_extras: bool = False,
) -> Repair:
    """Repair these differences of this migration as `repair` does, those that are settled left out.

    Raises:
        Refused: legacy is frozen or gone.
    """
    done = Repair(side=follower_now(migration))
    _repair_each(migration, differences, actor, delete_extras, done, lambda: None)
    _remember(migration, done, actor=actor, reason=reason)
    return done


def follower_now(migration: AnyMigration) -> Side:
    """The store that a repair writes at the present stage.

    Raises:
        Refused: there is no follower that could be written.
    """
    return follower(state.stage(migration))


def _repair_each(
    migration: AnyMigration,
    differences: Iterable[Difference],
    actor: str,
    delete_extras: bool,
    done: Repair,
    told: Callable[[], None],
) -> None:
    for difference in differences:
        if difference.status in UNSETTLED:
            _repair_one(migration, difference, actor, delete_extras, done)
            told()


def _remember(migration: AnyMigration, done: Repair, *, actor: str, reason: str, run: int | None = None) -> None:
    """Write what was done into the history, if anything was."""
    if done.changed or done.failed or done.strays.removed or done.strays.failed:
        evidence = {
            "run": run,
            "side": done.side.value,
            "saved": done.saved,
            "deleted": done.deleted,
            "gone": done.gone,
            "kept": done.kept,
            "failed": len(done.failed) + len(done.strays.failed),
            "strays_removed": done.strays.removed,
        }
        history.append(migration, actor=actor, verb="repair", reason=reason, evidence=evidence)


def plan(validation: Validation, *, delete_extras: bool = False) -> tuple[Repair, list[tuple[str, Action]]]:
    """What `repair` would do, writing and locking nothing: the counts, and the first keys with what is done."""
    migration = validation.migration
    would = Repair(side=follower_now(migration))
    would.strays = strays.plan(migration, validation.strays, complete=validation.complete)
    extras = delete_extras and validation.complete
    return would, plan_these(migration, validation.differences(), would, delete_extras=extras)


def plan_these(
    migration: AnyMigration, differences: Iterable[Difference], would: Repair, *, delete_extras: bool
) -> list[tuple[str, Action]]:
    """Count in `would` what `repair_these` would do; the first keys with what is done."""
    actions: list[tuple[str, Action]] = []
    for difference in differences:
        if difference.status not in UNSETTLED:
            continue
        try:
            with snapshot():
                unit = migration.unit(migration.decode_key(difference.key))
                side = routing.authority(migration, unit).side.other
                found = _find(migration, difference, side, delete_extras, lock=False)
        except Refused as error:
            would.failed.append(Failure(difference.key, str(error)))
            continue
        _count(would, found.action)
        if len(actions) < settings().report_differences:
            actions.append((difference.key, found.action))
    return actions


def follower(stage: Stage) -> Side:
    """The store that a repair writes at this stage.

    Raises:
        Refused: there is no follower that could be written.
    """
    if stage.position >= Stage.FROZEN.position:
        raise Refused(f"At stage {stage.value} legacy takes no writes any more, so there is nothing to repair.")
    return (stages.authority(stage) or Side.LEGACY).other


def _repair_one(migration: AnyMigration, difference: Difference, actor: str, delete_extras: bool, done: Repair) -> None:
    try:
        prepare(migration.legacy())
        with transaction.atomic(durable=True):
            origin.announce_alone()
            with locks.waiting_for("the fence of the stage", locks.KEY_PATIENCE):
                locks.enter_fence(migration)
                now = state.read(migration)
            if follower(now.stage) is not done.side:
                raise Refused("The stage was changed meanwhile; validate again.")
            key = migration.decode_key(difference.key)
            side = routing.authority(migration, migration.unit(key), now).side.other
            with locks.waiting_for("the lock of this key", locks.KEY_PATIENCE):
                locks.lock_keys(migration, [key])
            if not Difference.objects.filter(pk=difference.pk, status__in=UNSETTLED).exists():
                raise Refused("Somebody settled it meanwhile.")
            with locks.waiting_for("rows of this document", locks.ROW_PATIENCE):
                found = _find(migration, difference, side, delete_extras, lock=True)
                _carry_out(migration, difference, found, side, actor)
        failpoint(KEY_REPAIRED)
    except DatabaseError as error:
        done.failed.append(Failure(difference.key, sentence(error)))
    except MigrationOpsError as error:
        done.failed.append(Failure(difference.key, str(error)))
    except OSError as error:
        done.failed.append(Failure(difference.key, str(error)))
    else:
        _count(done, found.action)


def _find(migration: AnyMigration, difference: Difference, side: Side, delete_extras: bool, *, lock: bool) -> _Found:
    key = migration.decode_key(difference.key)
    in_legacy = migration.legacy().load([key], lock=lock)
    in_modern = migration.modern().load([key], lock=lock)
    documents = {Side.LEGACY: in_legacy.by_key().get(key), Side.MODERN: in_modern.by_key().get(key)}
    source, target = documents[side.other], documents[side]
    verdict = judge(migration, documents[Side.LEGACY], documents[Side.MODERN])
    if not verdict.kind.is_difference or (documents[Side.LEGACY] is None and in_legacy.rejections):
        return _Found(Action.NOTHING, target)
    if dirty.pending(migration, side, [difference.key]):
        raise Refused("It was changed on the side that would be written; `sync_changes` carries that over first.")
    if source is not None:
        return _Found(Action.SAVE, target)
    return _Found(Action.DELETE if delete_extras else Action.KEEP, target)


def _carry_out(migration: AnyMigration, difference: Difference, found: _Found, side: Side, actor: str) -> None:
    if found.action is Action.KEEP:
        return
    now = timezone.now()
    if found.action is not Action.NOTHING:
        BeforeImage.objects.create(
            migration=migration.name,
            side=side.value,
            key=difference.key,
            image=None if found.target is None else migration.image(found.target),
            cause="repair",
            actor=actor,
            at=now,
        )
        if found.action is Action.DELETE:
            imported.take_from_others(migration, [migration.decode_key(difference.key)])
        carried = carry.from_legacy if side is Side.MODERN else carry.from_modern
        carried(migration, [migration.decode_key(difference.key)], conflicts=(), at=now)
    difference.status = DifferenceStatus.GONE if found.action is Action.NOTHING else DifferenceStatus.REPAIRED
    difference.closed_at = now
    difference.save(update_fields=["status", "closed_at"])


def _count(repair: Repair, action: Action) -> None:
    if action is Action.SAVE:
        repair.saved += 1
    elif action is Action.DELETE:
        repair.deleted += 1
    elif action is Action.KEEP:
        repair.kept += 1
    else:
        repair.gone += 1
