"""The second write of a dual write: in a savepoint, in a hurry, and at nobody's cost when it fails."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from django.db import Error, connection, transaction

from migration_ops.conf import settings
from migration_ops.definition import Batch, Side
from migration_ops.exceptions import MigrationOpsError
from migration_ops.failpoints import failpoint, label
from migration_ops.locks import hurried
from migration_ops.patience import cause
from migration_ops.stages import CAPTURING
from migration_ops.sync import carry, dirty, overtaken
from migration_ops.sync.draft import Outcome, Place, put
from migration_ops.verify.compare import judge

FOLLOWED = label("dual_write.followed")


def follow(place: Place) -> Outcome:
    """Write the follower, bring the lineage of the legacy rows in step, and look at both; or undo just that."""
    try:
        try:
            with transaction.atomic(), hurried(settings().follower_patience):
                return _followed(place)
        except _FollowerChanged:
            with transaction.atomic(), hurried(settings().follower_patience):
                _keep_what_is_written_over(place)
                return _followed(place)
    except (Error, MigrationOpsError, OSError) as error:
        place.sqlstate = cause(error)
        return Outcome.FAILED


class _FollowerChanged(MigrationOpsError):
    """The follower was changed past the app after the document was loaded."""


def _followed(place: Place) -> Outcome:
    migration, draft = place.migration, place.draft
    if place.side is Side.MODERN:
        put(migration.legacy(), draft.key, draft.document)
        earlier = overtaken.news(place)
        rows = carry.record_rows(migration, [draft.key])
        _refuse_if_overtaken(place, earlier)  # rows that were added have a lineage only now, and rows that went had one
        carry.keep_legacy_ids(migration, rows, Batch([] if draft.document is None else [draft.document]))
        in_legacy = rows.by_key().get(draft.key)
    else:
        in_legacy = carry.record_rows(migration, [draft.key], among=place.rows).by_key().get(draft.key)
        if in_legacy is None or not place.rows:
            place.overtaken = overtaken.in_authority(place)
        put(migration.modern(), draft.key, in_legacy)  # with what legacy made of it, such as new ids
        _refuse_if_overtaken(place)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is deferred would fail the user's commit
    failpoint(FOLLOWED)
    return Outcome.BOTH if _verified(place, in_legacy) else Outcome.DIFFERENT


def _refuse_if_overtaken(place: Place, earlier: Collection[Side] = ()) -> None:
    """Now that the follower's rows are locked, whoever changed them since they were loaded is on the dirty list.

    Args:
        earlier: the sides on which the list said so already.
    """
    if place.stage not in CAPTURING[place.side.other]:
        return
    sides = overtaken.news(place).union(earlier)
    place.overtaken |= place.side is Side.MODERN and place.side in sides
    if place.side.other in sides:
        raise _FollowerChanged


def _keep_what_is_written_over(place: Place) -> None:
    """Both sides changed: the authority wins, and what the other one said is kept for a person to see."""
    document = place.draft.document
    winning: Batch[Any, Any] = Batch(documents=[] if document is None else [document])
    carry.keep_images(place.migration, place.side.other, [place.draft.key], winning, dirty.now())


def _verified(place: Place, in_legacy: Any) -> bool:
    """Whether both stores say the same now, for the share of writes that is looked at."""
    if random.random() * 100 >= settings().dual_write_verified_percent:  # noqa: S311 - a sample, no secret
        return True
    in_modern = place.migration.modern().load([place.draft.key]).by_key().get(place.draft.key)
    return (in_legacy is None) == (place.draft.document is None) and not judge(
        place.migration, in_legacy, in_modern
    ).kind.is_difference
