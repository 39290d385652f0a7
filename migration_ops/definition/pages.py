"""What stores are asked for and what they return: pieces of their own order, batches, and pages of a scan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic

from migration_ops.definition.documents import DocumentT, KeyT
from migration_ops.definition.rows import Merge, Rejection, RowLink

Cursor = int | str
"""A place in a store's own order; survives JSON unchanged."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a store in the store's own order: `after` is exclusive, `until` inclusive, None is open."""

    after: Cursor | None = None
    until: Cursor | None = None


@dataclass(slots=True)
class Batch(Generic[KeyT, DocumentT]):
    """Whole documents, and what became of every row that was looked at to make them.

    Attributes:
        documents: complete and valid; at most one per key.
        links: one per represented row that was asked for.
        rejections: one per rejected or held row that was asked for.
        merges: one per document in `documents` that is made of several rows.
    """

    documents: list[DocumentT] = field(default_factory=list)
    links: list[RowLink[KeyT]] = field(default_factory=list)
    rejections: list[Rejection[KeyT]] = field(default_factory=list)
    merges: list[Merge[KeyT]] = field(default_factory=list)

    def by_key(self) -> dict[KeyT, DocumentT]:
        return {document.key: document for document in self.documents}


@dataclass(slots=True)
class Page(Batch[KeyT, DocumentT]):
    """One step of a scan.

    A document is on the page that holds its leading row, and on no other. So for every page
    `rows == len(documents) + merged_rows + len(rejections)`.

    Attributes:
        cursor: the last row read, where the next scan begins; None when the span is exhausted.
        rows: rows read, each exactly once over the whole scan. A store without rows counts documents.
        merged_rows: rows of this page that are part of a document led by another row.
    """

    cursor: Cursor | None = None
    rows: int = 0
    merged_rows: int = 0


@dataclass(frozen=True, slots=True)
class KeyPage(Generic[KeyT]):
    """One step of a scan for keys alone: the keys, and where the next step begins; None when the span is exhausted."""

    keys: list[KeyT]
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What `Store.save` did: documents that had to be written, and documents that were equal already."""

    written: int = 0
    unchanged: int = 0
