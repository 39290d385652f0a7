"""A whole sample of a store, page by page."""

from __future__ import annotations

from typing import Any

from migration_ops.definition import Batch, Store


def drawn(store: Store[Any, Any], size: int, seed: int, *, limit: int = 7) -> Batch[Any, Any]:
    """What all pages of the sample hold together, in the order in which they come."""
    page = store.sample(size, seed, limit=limit)
    whole: Batch[Any, Any] = Batch()
    while True:
        assert page.rows == len(page.documents) + page.merged_rows + len(page.rejections)
        whole.documents += page.documents
        whole.links += page.links
        whole.rejections += page.rejections
        whole.merges += page.merges
        if page.cursor is None:
            return whole
        page = store.sample(size, seed, limit=limit, after=page.cursor)
