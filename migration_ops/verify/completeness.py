"""Whether a sweep saw what there is: a verifier that sees nothing must not report that nothing is wrong.

Row security is refused earlier (see `snapshot`). Here what was seen is held against what is known from elsewhere.
"""

from __future__ import annotations

from typing import Any

from migration_ops.definition import AnyMigration, RowStore, Store
from migration_ops.models import DirtyKey, Lineage
from migration_ops.schema import unique_keys
from migration_ops.verify.compare import Tally

PLAUSIBLE = 0.5
"""While families write past the app, lineage lags and documents go; that more than half is gone is no such change."""


def reasons(migration: AnyMigration, legacy: RowStore[Any, Any], modern: Store[Any, Any], tally: Tally) -> list[str]:
    """Sentences that say why this sweep cannot have seen everything; to be called in a snapshot."""
    found = [
        f"The unique key {name} of the modern tables is missing: what stands there twice cannot be seen."
        for name in unique_keys.missing(migration)
    ]
    known = Lineage.of(migration).count()
    noticed = DirtyKey.objects.filter(migration=migration.name, row__isnull=False).count()
    if tally.legacy_rows == 0:
        if known or _some(legacy):
            found.append("No legacy row was seen, although there must be some.")
    elif _fewer(tally.legacy_rows + noticed, known):
        found.append(f"Only {tally.legacy_rows:,} legacy rows were seen, but {known:,} are known from the backfill.")
    if migration.rows_from:
        return found  # of modern it lists only what came from the file, which may be nothing
    in_both = tally.matched + tally.mismatched
    if tally.modern_documents == 0:
        if in_both or _some(modern):
            found.append(f"None of the modern {migration.plural} was seen, although there must be some.")
    elif _fewer(tally.modern_documents, in_both):
        found.append(
            f"The modern store listed {tally.modern_documents:,} {migration.plural} only,"
            f" but {in_both:,} were read there."
        )
    return found


def _some(store: Store[Any, Any]) -> bool:
    """Whether something is there: an estimate may be of what was there before the last of it was deleted."""
    return bool(store.estimate()) and bool(store.spans(1))


def _fewer(seen: int, known: int) -> bool:
    return seen < PLAUSIBLE * known
