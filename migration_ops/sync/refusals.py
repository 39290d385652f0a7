"""Documents that only the modern database refuses: their rows wait for a person, all of them.

The legacy store finds nothing wrong with such rows, so it goes on to say that they are part of a document. What the
database said, and what a person decided on it, holds for as long as the rows stay as they were.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from django.db import DatabaseError

from migration_ops.backfill.errors import sentence
from migration_ops.definition import AnyMigration, Batch, Rejection, RowLink
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.sync import bookkeeping, merges, quarantining


def set_aside(
    migration: AnyMigration, document: Any, known: Batch[Any, Any], error: DatabaseError
) -> tuple[Rejection[Any], int]:
    """Quarantine every row of this document, of which `known` is what the legacy store says.

    An acceptance of exactly this document stays; otherwise a person decides anew.

    Returns: the leading row's rejection, and how many rows the document has.
    """
    accepted = _image(migration, document) in _accepted_images(migration, known.links).get(document.key, ())
    merge = next((merge for merge in known.merges if merge.key == document.key), None)
    fingerprints = {link.row: link.fingerprint for link in known.links if link.key == document.key}
    leader, *siblings = merge.rows if merge else tuple(fingerprints)
    culprit = Rejection(
        row=leader,
        code=migration.code_for_error(error),
        message=f"The modern database refuses what this row says: {sentence(error)}.",
        key=document.key,
        raw=_image(migration, document),
        fingerprint=fingerprints.get(leader, ""),
    )
    held = [hold(leader, culprit.code, row, document.key, fingerprints.get(row, "")) for row in siblings]
    if not accepted:
        quarantining.reopen(migration, fingerprints)
    bookkeeping.record_rejections(migration, [culprit, *held])
    quarantining.mark_refused(migration, fingerprints)
    merges.forget(migration, [document.key])
    return culprit, 1 + len(siblings)


def hold(leader: str, code: str, row: str, key: Any, fingerprint: str) -> Rejection[Any]:
    """A row that is held because the document it shares with `leader` was refused."""
    message = f"Held because row {leader} of the same document is in quarantine ({code})."
    return Rejection(row, code, message, key, "", fingerprint, held_by=leader)


def leave_behind(migration: AnyMigration, batch: Batch[Any, Any]) -> set[Any]:
    """Take the documents out of the batch that were refused and that a person accepted to stay behind; their keys."""
    images = _accepted_images(migration, batch.links)
    left = {document.key for document in batch.documents if _image(migration, document) in images.get(document.key, ())}
    if left:
        batch.documents = [document for document in batch.documents if document.key not in left]
        batch.links = [link for link in batch.links if link.key not in left]
        batch.merges = [merge for merge in batch.merges if merge.key not in left]
    return left


def standing(migration: AnyMigration, links: Iterable[RowLink[Any]]) -> list[RowLink[Any]]:
    """Those of these rows that wait, or stay behind by a person's word, because the modern database refused them as
    they are now; a row of a document of which another one changed since is none of them."""
    by_row = {link.row: link for link in links}
    unchanged = quarantining.refused_rows(migration, by_row)
    said = [link for row, link in by_row.items() if unchanged.get(row) == link.fingerprint]
    changed = {link.key for row, link in by_row.items() if unchanged.get(row) != link.fingerprint}
    return [link for link in said if link.key not in changed]


def _accepted_images(migration: AnyMigration, links: Collection[RowLink[Any]]) -> dict[Any, set[str]]:
    """What refused documents said when a person accepted it, by key; only where none of their rows has changed."""
    still = {link.row: link.key for link in standing(migration, links)}
    if not still:
        return {}
    items = QuarantineItem.of(migration).filter(row__in=list(still), status=QuarantineStatus.ACCEPTED, held_by=None)
    images: dict[Any, set[str]] = {}
    for row, raw in items.values_list("row", "raw"):
        images.setdefault(still[row], set()).add(raw)
    return images


def _image(migration: AnyMigration, document: Any) -> str:
    return quarantining.storable(json.dumps(migration.image(document), ensure_ascii=False, default=str))
