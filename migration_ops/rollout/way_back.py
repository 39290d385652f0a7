"""What going back to legacy would cost right now: changes that have not reached it, and those that never could.

A document that modern acknowledged and legacy does not have as it is, is on the dirty list: that list is all there is
to look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from migration_ops import stages, state
from migration_ops.definition import AnyMigration, KnowsLimits, Side
from migration_ops.models import DirtyKey
from migration_ops.stages import Stage

MOST = 1_000
"""Documents that are looked at; a list that is longer has another problem first."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """How things stand.

    Attributes:
        waiting: documents that changed in modern and have not reached legacy yet.
        blocked: those that legacy could not hold as it is, by key, each with a sentence that says why.
    """

    waiting: int = 0
    blocked: Mapping[Any, str] = field(default_factory=dict)


def look(migration: AnyMigration) -> WayBack:
    """The way back to legacy from where the migration stands; trivial where legacy has the word for everybody."""
    stage = state.stage(migration)
    if stages.authority(stage) is Side.LEGACY or stage.position >= Stage.FROZEN.position:
        return WayBack()
    dirty = DirtyKey.objects.filter(migration=migration.name, side=Side.MODERN.value, key__isnull=False)
    encoded = [str(key) for key in dirty.order_by("key").values_list("key", flat=True).distinct()]
    keys = [migration.decode_key(key) for key in encoded[:MOST]]
    legacy = migration.legacy()
    blocked: Mapping[Any, str] = {}
    if keys and isinstance(legacy, KnowsLimits):
        blocked = legacy.refusals(migration.modern().load(keys).documents)
    return WayBack(len(encoded), blocked)
