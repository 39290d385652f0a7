"""Makes the follower equal to the authority again, where a validation found that it is not.

One transaction a key: lock it, look once more, keep what the follower had, write. A key that cannot be repaired, or
that others hold for longer than `KEY_PATIENCE` or its rows for longer than `ROW_PATIENCE`, does not stop the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

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
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.sync import carry, imported, origin
from migration_ops.verify import strays
from migration_ops.verify.repair_step import Action, Found, Step, find, follower_of, planned
from migration_ops.verify.strays import Removal
from migration_ops.verify.validation import Validation

KEY_REPAIRED = label("repair_key_repaired")


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
        unreached: those for which there was no time.
        strays: what became of rows that belong to no document.
    """

    side: Side
    saved: int = 0
    deleted: int = 0
    gone: int = 0
    kept: int = 0
    failed: list[Failure] = field(default_factory=list)
    unreached: int = 0
    strays: Removal = field(default_factory=Removal)

    @property
    def changed(self) -> int:
        return self.saved + self.deleted

    @property
    def left(self) -> int:
        """Differences that are still there, rows that belong to no document among them."""
        return self.kept + len(self.failed) + self.unreached + self.strays.left


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
    for difference in validation.differences():
        if difference.status in UNSETTLED:
            _repair_one(migration, difference, actor, extras, done)
            told()
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
    agreed: Mapping[str, Step] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Repair:
    """Repair these differences of this migration as `repair` does, those that are settled left out.

    Args:
        agreed: what was looked at, by encoded key; where something else would be done by now, nothing is.
        stop: asked before each difference; what is left then is `unreached`.

    Raises:
        Refused: legacy is frozen or gone.
    """
    done = Repair(side=follower_now(migration))
    for difference in differences:
        if difference.status not in UNSETTLED:
            continue
        if stop():
            done.unreached += 1
        else:
            _repair_one(migration, difference, actor, delete_extras, done, agreed)
    _remember(migration, done, actor=actor, reason=reason)
    return done


def follower_now(migration: AnyMigration) -> Side:
    """The store that a repair writes at the present stage.

    Raises:
        Refused: there is no follower that could be written.
    """
    return follower(state.stage(migration))


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


def plan(validation: Validation, *, delete_extras: bool = False) -> tuple[Repair, list[Step]]:
    """What `repair` would do, writing and locking nothing: the counts, and the first steps."""
    migration = validation.migration
    would = Repair(side=follower_now(migration))
    would.strays = strays.plan(migration, validation.strays, complete=validation.complete)
    extras = delete_extras and validation.complete
    steps = plan_these(migration, validation.differences(), would, delete_extras=extras)
    first = list(islice(steps, settings().report_differences))
    deque(steps, maxlen=0)  # the others are counted
    return would, first


def plan_these(
    migration: AnyMigration, differences: Iterable[Difference], would: Repair, *, delete_extras: bool
) -> Iterator[Step]:
    """What `repair_these` would do, step by step; those that were yielded are counted in `would`."""
    for difference in differences:
        if difference.status not in UNSETTLED:
            continue
        try:
            step = planned(migration, difference.key, delete_extras=delete_extras)
        except Refused as error:
            would.failed.append(Failure(difference.key, str(error)))
            continue
        _count(would, step.action)
        yield step


def follower(stage: Stage) -> Side:
    """The store that a repair writes at this stage.

    Raises:
        Refused: there is no follower that could be written.
    """
    if stage.position >= Stage.FROZEN.position:
        raise Refused(
            said(
                "At stage %(stage)s legacy takes no writes any more, so there is nothing to repair.",
                stage=word(stage.value),
            )
        )
    return (stages.authority(stage) or Side.LEGACY).other


def _repair_one(
    migration: AnyMigration,
    difference: Difference,
    actor: str,
    delete_extras: bool,
    done: Repair,
    agreed: Mapping[str, Step] | None = None,
) -> None:
    key = difference.key
    try:
        prepare(migration.legacy())
        with transaction.atomic(durable=True):
            origin.announce_alone()
            with locks.waiting_for(said("the fence of the stage"), locks.KEY_PATIENCE):
                locks.enter_fence(migration)
                now = state.read(migration)
            if follower(now.stage) is not done.side:
                raise Refused(said("The stage was changed meanwhile; validate again."))
            side = follower_of(migration, key, now)
            with locks.waiting_for(said("the lock of this key"), locks.KEY_PATIENCE):
                locks.lock_keys(migration, [migration.decode_key(key)])
            if not Difference.objects.filter(pk=difference.pk, status__in=UNSETTLED).exists():
                raise Refused(said("Somebody settled it meanwhile."))
            with locks.waiting_for(said("rows of this document"), locks.ROW_PATIENCE):
                found = find(migration, key, side, delete_extras=delete_extras, lock=True)
                if agreed is not None and found.step.action is not Action.NOTHING and found.step != agreed.get(key):
                    raise Refused(said("It is no longer what was looked at; look again."))
                _carry_out(migration, difference, found, actor)
        failpoint(KEY_REPAIRED)
    except DatabaseError as error:
        done.failed.append(Failure(key, sentence(error)))
    except (MigrationOpsError, OSError) as error:
        done.failed.append(Failure(key, str(error)))
    else:
        _count(done, found.step.action)


def _carry_out(migration: AnyMigration, difference: Difference, found: Found, actor: str) -> None:
    action, side = found.step.action, found.step.side
    if action is Action.KEEP:
        return
    now = timezone.now()
    if action is not Action.NOTHING:
        BeforeImage.objects.create(
            migration=migration.name,
            side=side.value,
            key=difference.key,
            image=None if found.target is None else migration.image(found.target),
            cause="repair",
            actor=actor,
            at=now,
        )
        if action is Action.DELETE:
            imported.take_from_others(migration, [migration.decode_key(difference.key)])
        carried = carry.from_legacy if side is Side.MODERN else carry.from_modern
        carried(migration, [migration.decode_key(difference.key)], conflicts=(), at=now)
    difference.status = DifferenceStatus.GONE if action is Action.NOTHING else DifferenceStatus.REPAIRED
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
