"""What a store may offer beyond what it must; whoever wants it asks with `isinstance`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from migration_ops.definition.documents import Json, KeyT
from migration_ops.definition.pages import Batch, KeyPage, Span

DocumentT_contra = TypeVar("DocumentT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Stray:
    """Rows of a table that are part of no document at all, e.g. because what they hung on is gone.

    Attributes:
        rows: how many.
        example: the id of one of them.
    """

    table: str
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class RemovedRow:
    """A row as it was before it was removed: its id as text, and its columns as JSON."""

    row: str
    image: Json


@runtime_checkable
class FindsStrays(Protocol):
    """What a store may offer whose rows can outlive what they hang on, for as long as there are no foreign keys."""

    def strays(self) -> list[Stray]:
        """Rows that no scan and no key leads to, by table, in the order in which they can be removed: dependents first.
        What hangs on a stray is one itself. Empty where there are none."""
        ...

    def remove_strays(self, table: str, limit: int) -> list[RemovedRow]:
        """Remove at most `limit` rows of this table that are strays, in the caller's transaction; what they were.

        A row that got something to hang on before it was locked is left alone, and so is one that somebody else has
        locked. Empty when there is none (any more).
        """
        ...


@runtime_checkable
class KeptInFile(Protocol):
    """What a legacy store says that is one file: a `source` of the same real path is no other store."""

    @property
    def real_path(self) -> str: ...


@runtime_checkable
class ListsKeys(Protocol[KeyT]):
    """A fast path a store may offer to whoever needs no content. Without it, keys are taken from `scan`."""

    def scan_keys(self, span: Span, limit: int) -> KeyPage[KeyT]:
        """The keys of the documents that `scan` would return, in the same order, with the same cursors."""
        ...


@runtime_checkable
class ListsUnits(Protocol[KeyT]):
    """What a store offers whose documents an app lists by unit, e.g. all weeks of one family."""

    def keys_of_unit(self, unit: str) -> set[KeyT]:
        """The keys of all documents of this unit, those with rejected rows included."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """What a store may offer whose first read after a change takes long, e.g. because it makes an index then."""

    def prepare(self, working: Callable[[], None]) -> None:
        """Do now what the next read would have to do before it can answer; call `working` about every second meanwhile.

        It is called outside of a transaction: one that sleeps too long is ended by PostgreSQL, and others wait for its
        locks. A change after it is no error; the read that follows then takes as long.
        """
        ...


@runtime_checkable
class KnowsLimits(Protocol[KeyT, DocumentT_contra]):
    """What a store may offer that cannot hold every document, e.g. because of a unique key that is too narrow."""

    def refusals(self, documents: Collection[DocumentT_contra]) -> dict[KeyT, str]:
        """Why those of these documents that could not be saved here now could not, a sentence each; reads only."""
        ...


@runtime_checkable
class LoadsRows(Protocol):
    """A fast path a legacy store may offer to whoever loaded documents in this transaction, and so knows their rows.
    Without it, `load` finds them."""

    def load_rows(self, keys: Collection[Any], rows: Collection[str]) -> Batch[Any, Any]:
        """As `load` of these keys, if these are all the rows they have and all their units are known; rows that are
        gone are absent."""
        ...


@runtime_checkable
class KeepsLegacyIds(Protocol):
    """What a modern store offers that keeps, beside the content, what legacy calls the parts of a document."""

    def keep_legacy_ids(self, documents: Collection[Any]) -> None:
        """Take these names over from legacy's documents, each of which is equal to the one this store has of its key.
        Nothing else is changed."""
        ...
