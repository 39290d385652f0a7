"""Whether differences that people explained are still the ones they explained."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.models import Difference, DifferenceStatus
from migration_ops.verify.lifecycle import standing
from migration_ops.verify.look import digest


def holding(migration: AnyMigration) -> Iterator[tuple[Difference, bool]]:
    """Every difference that somebody explained, and whether both sides still say what was explained.

    Looks at the documents, a page at a time: an explanation is no licence for whatever comes next.
    """
    found = standing(migration).filter(status=DifferenceStatus.EXPLAINED).select_related("run").order_by("pk")
    each = found.iterator(chunk_size=500)
    while page := list(islice(each, settings().compare_batch)):
        keys = {one.key: migration.decode_key(one.key) for one in page}
        legacy = migration.legacy().load(keys.values()).by_key()
        modern = migration.modern().load(keys.values()).by_key()
        for one in page:
            key = keys[one.key]
            yield one, digest(migration, legacy.get(key), modern.get(key)) == one.digest
