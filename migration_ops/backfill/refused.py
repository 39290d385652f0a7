"""Documents that only the modern database refuses: their rows go into quarantine, all of them.

The legacy store finds nothing wrong with such rows. So that pages that come later hold them as well, the run remembers
which documents were refused, by their leading rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import DatabaseError, connection

from migration_ops.definition import AnyMigration, Batch, Page
from migration_ops.models import QuarantineItem
from migration_ops.sync import refusals

_REMEMBER = """
UPDATE migration_ops_run
   SET result = result || jsonb_build_object('refused',
                coalesce(result->'refused', '{}') || jsonb_build_object(%s::text, %s::text))
 WHERE id = %s
"""


def reject(migration: AnyMigration, run_id: int, document: Any, known: Batch[Any, Any], error: DatabaseError) -> int:
    """Quarantine every row of this document, of which `known` is what the legacy store says; how many they are."""
    culprit, rows = refusals.set_aside(migration, document, known, error)
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER, [migration.encode_key(document.key), culprit.row, run_id])
    return rows


def hold(migration: AnyMigration, page: Page[Any, Any], refused: Mapping[str, str]) -> None:
    """Turn links of this page into held rows where their document was refused: `refused` is leading row by key.

    The page's counts stay as they are: whoever rejected the document has counted its rows.
    """
    if not refused:
        return
    leaders = QuarantineItem.of(migration).filter(row__in=set(refused.values()))
    codes = dict(leaders.values_list("row", "code"))
    saved = {document.key for document in page.documents}
    links, page.links = page.links, []
    for link in links:
        leader = refused.get(migration.encode_key(link.key))
        if leader is None or leader == link.row or link.key in saved or leader not in codes:
            page.links.append(link)
        else:
            page.rejections.append(refusals.hold(leader, codes[leader], link.row, link.key, link.fingerprint))
