"""What every store must do, and what one made of rows must do besides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from migration_ops.definition.documents import DocumentT, KeyT
from migration_ops.definition.pages import Batch, Cursor, Page, Saved, Span
from migration_ops.definition.rows import Rejection


@dataclass(frozen=True, slots=True)
class CapturedTable:
    """A table whose changes must be noticed even when somebody writes past the app.

    Attributes:
        table: its name.
        row: SQL expression over a row of the transition table that gives the row's id as text, e.g. `id::text`.
        keys: where the table is part of documents and not made of rows with identities of their own: SQL that selects
            the encoded keys of the documents from the transition table `{changed}`; other tables are `{schema}.name`.
        one_a_document: every document has exactly one row in this table.
    """

    table: str
    row: str = "id::text"
    keys: str = ""
    one_a_document: bool = False


class Store(Protocol[KeyT, DocumentT]):
    """Where documents live. Calls run in the caller's transaction and raise `django.db.DatabaseError` on failure."""

    @property
    def captured_tables(self) -> Sequence[CapturedTable]:
        """Tables for capture triggers. Empty: changes past the app are found by `RowStore.fingerprints` instead."""
        ...

    @property
    def transactional(self) -> bool:
        """Whether what is written takes part in the caller's transaction. If not, as in a file, it is there at once and
        no rollback brings the old content back."""
        ...

    def spans(self, parts: int) -> list[Span]:
        """Cut what is in the store now into at most `parts` disjoint spans that cover it whole, the first open to −∞,
        the last closed at the last row that exists now (later rows are capture's business). Empty store: no span."""
        ...

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[KeyT]], None] | None = None
    ) -> Page[KeyT, DocumentT]:
        """Read at most `limit` rows in the store's own order, and all that is needed to make their documents whole.

        With `claim`, the call is for writing: `claim(keys)` is called with every key of the page before the content is
        read for good, and what is read is locked against change until the end of the transaction. A row that changed
        its key in between is claimed as well. Without it nothing is locked.
        """
        ...

    def load(self, keys: Collection[KeyT], *, lock: bool = False) -> Batch[KeyT, DocumentT]:
        """The documents of these keys; absent keys are absent. `lock` keeps what was read as it is until the end of the
        transaction. Every row of the keys is in `links` or `rejections`."""
        ...

    def absent(self, keys: Collection[KeyT]) -> set[KeyT]:
        """Those of the keys of which the store has nothing at all, not even a rejected row."""
        ...

    def save(self, documents: Collection[DocumentT]) -> Saved:
        """Make the store equal to these documents, writing only what differs. Idempotent."""
        ...

    def delete(self, keys: Collection[KeyT]) -> int:
        """Remove these documents; how many were there."""
        ...

    def sample(self, size: int, seed: int, *, limit: int, after: Cursor | None = None) -> Page[KeyT, DocumentT]:
        """The next page of about `size` documents chosen at random, each with the same chance, with their rejections.

        Which ones depends on `seed` and on what is in the store, not on `limit`, the rows or documents that are looked
        at for a page. The next one begins at the page's `cursor`, with all else as before.
        """
        ...

    def estimate(self) -> int | None:
        """Roughly how many rows there are, cheaply; None if unknown."""
        ...


class RowStore(Store[KeyT, DocumentT], Protocol[KeyT, DocumentT]):
    """A store whose documents are made of rows with identities of their own: the legacy side."""

    def keys_of(self, rows: Collection[str]) -> dict[str, KeyT | None]:
        """The key each of these rows has by its present content: None where it cannot be read; gone rows are absent."""
        ...

    def without_rejected(self) -> RowStore[KeyT, DocumentT]:
        """The same store to which rejected rows do not count: a document is what its other rows say, and writing it
        leaves the rejected ones as they are."""
        ...

    def keyless(self, rows: Collection[str]) -> list[Rejection[KeyT]]:
        """Why those of these rows that have no readable key are rejected, one rejection each; rows that have a key are
        the business of `load`, gone rows nobody's."""
        ...

    def assign_unit(self, rows: Collection[str], unit: str) -> int:
        """Give rows that have no unit (owner) this one; how many were changed.

        Raises:
            UnusableInput: the unit is unknown, or a row has a unit already.
        """
        ...

    def version(self) -> str | None:
        """A cheap mark that changes whenever a store without capture triggers changes; None where triggers watch."""
        ...

    def fingerprints(self) -> Iterator[tuple[str, str]]:
        """Row id and content fingerprint of every row, for stores without capture triggers; constant memory."""
        ...
