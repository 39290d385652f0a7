"""Documents that only the modern database refuses: their rows go into quarantine, all of them.

The legacy store finds nothing wrong with such rows. So that pages that come later hold them as well, the run remembers
which documents were refused, by their leading rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import DatabaseError, connection

from migration_ops.backfill import errors
from migration_ops.definition import AnyMigration, Batch, Page, Rejection
from migration_ops.models import QuarantineItem
from migration_ops.sync import bookkeeping

_REMEMBER = """
UPDATE migration_ops_run
   SET result = result || jsonb_build_object('refused',
                coalesce(result->'refused', '{}') || jsonb_build_object(%s::text, %s::text))
 WHERE id = %s
"""


def reject(migration: AnyMigration, run_id: int, document: Any, known: Batch[Any, Any], error: DatabaseError) -> int:
    """Quarantine every row of this document, of which `known` is what the legacy store says; how many they are."""
    merge = next((merge for merge in known.merges if merge.key == document.key), None)
    fingerprints = {link.row: link.fingerprint for link in known.links}
    leader, *siblings = merge.rows if merge else tuple(fingerprints)
    culprit = Rejection(
        row=leader,
        code=migration.code_for_error(error),
        message=f"The modern database refuses what this row says: {errors.sentence(error)}.",
        key=document.key,
        raw=json.dumps(migration.image(document), ensure_ascii=False, default=str),
        fingerprint=fingerprints.get(leader, ""),
    )
    held = [_held(leader, culprit.code, row, document.key, fingerprints.get(row, "")) for row in siblings]
    bookkeeping.record_rejections(migration, [culprit, *held])
    bookkeeping.forget_merges(migration, [document.key])
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER, [migration.encode_key(document.key), leader, run_id])
    return 1 + len(siblings)


def hold(migration: AnyMigration, page: Page[Any, Any], refused: Mapping[str, str]) -> None:
    """Turn links of this page into held rows where their document was refused: `refused` is leading row by key.

    The page's counts stay as they are: whoever rejected the document has counted its rows.
    """
    if not refused:
        return
    leaders = QuarantineItem.objects.filter(migration=migration.name, row__in=set(refused.values()))
    codes = dict(leaders.values_list("row", "code"))
    saved = {document.key for document in page.documents}
    links, page.links = page.links, []
    for link in links:
        leader = refused.get(migration.encode_key(link.key))
        if leader is None or leader == link.row or link.key in saved or leader not in codes:
            page.links.append(link)
        else:
            page.rejections.append(_held(leader, codes[leader], link.row, link.key, link.fingerprint))


def _held(leader: str, code: str, row: str, key: Any, fingerprint: str) -> Rejection[Any]:
    message = f"Held because row {leader} of the same document is in quarantine ({code})."
    return Rejection(row, code, message, key, "", fingerprint, held_by=leader)
