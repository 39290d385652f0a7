"""What is done about one difference, and where: decided by what both stores say at that moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import Refused
from migration_ops.rollout import routing
from migration_ops.sentence import said
from migration_ops.state import State
from migration_ops.sync import dirty
from migration_ops.verify.compare import judge
from migration_ops.verify.look import digest
from migration_ops.verify.snapshot import snapshot


class Action(StrEnum):
    """What is done about one difference."""

    SAVE = "save"
    DELETE = "delete"
    KEEP = "keep"
    """The authority does not have it; nobody asked for it to be removed."""

    NOTHING = "nothing"
    """It is equal by now."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done.

    Attributes:
        key: encoded.
        side: the follower for this key, where it is written.
        digest: of what both sides say.
    """

    key: str
    side: Side
    action: Action
    digest: str


@dataclass(frozen=True, slots=True)
class Found:
    """A step, and the document that is there where it is written."""

    step: Step
    target: Any | None


def follower_of(migration: AnyMigration, key: str, now: State | None = None) -> Side:
    """The store that follows for the unit of this key."""
    return routing.own_authority(migration, migration.unit(migration.decode_key(key)), now).side.other


def find(migration: AnyMigration, encoded: str, side: Side, *, delete_extras: bool, lock: bool) -> Found:
    """What has to be done so that this side says what the other one says.

    Raises:
        Refused: a change of this side waits to be carried over.
    """
    key = migration.decode_key(encoded)
    in_legacy = migration.legacy().load([key], lock=lock)
    in_modern = migration.modern().load([key], lock=lock)
    documents = {Side.LEGACY: in_legacy.by_key().get(key), Side.MODERN: in_modern.by_key().get(key)}
    legacy, modern = documents[Side.LEGACY], documents[Side.MODERN]

    def found(action: Action) -> Found:
        return Found(Step(encoded, side, action, digest(migration, legacy, modern)), documents[side])

    if not judge(migration, legacy, modern).kind.is_difference or (legacy is None and in_legacy.rejections):
        return found(Action.NOTHING)
    if dirty.pending(migration, side, [encoded]):
        raise Refused(said("It was changed on the side that would be written; `sync_changes` carries that over first."))
    if documents[side.other] is not None:
        return found(Action.SAVE)
    return found(Action.DELETE if delete_extras else Action.KEEP)


def planned(migration: AnyMigration, key: str, *, delete_extras: bool) -> Step:
    """What would be done at this moment, locking nothing.

    Raises:
        Refused: nothing can be done about it now.
    """
    with snapshot():
        side = follower_of(migration, key)
        return find(migration, key, side, delete_extras=delete_extras, lock=False).step
