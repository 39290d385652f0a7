"""What a domain declares so that the engine can migrate it: documents, two stores, and how to compare them.

A *document* is the unit of comparison and of sync. A *store* holds documents, whatever is behind it. Legacy stores are
made of *rows* that are not one to one with documents; `RowStore` says what the engine needs to know of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from django.db import DatabaseError

KeyT = TypeVar("KeyT")
"""Identity of a document: hashable, orderable, the same in both stores."""

DocumentT = TypeVar("DocumentT", bound="Keyed[Any]")

DocumentT_contra = TypeVar("DocumentT_contra", contravariant=True)

KeyT_co = TypeVar("KeyT_co", covariant=True)

Cursor = int | str
"""A place in a store's own order; survives JSON unchanged."""

Json = Any
"""What `json.loads` returns."""


class Keyed(Protocol[KeyT_co]):
    """A document: an immutable value that knows its key and compares by content."""

    @property
    def key(self) -> KeyT_co: ...


class Side(StrEnum):
    """One of the two stores of a migration."""

    LEGACY = "legacy"
    MODERN = "modern"

    @property
    def other(self) -> Side:
        return Side.MODERN if self is Side.LEGACY else Side.LEGACY


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a store in the store's own order: `after` is exclusive, `until` inclusive, None is open."""

    after: Cursor | None = None
    until: Cursor | None = None


@dataclass(frozen=True, slots=True)
class RowLink(Generic[KeyT]):
    """Lineage: this legacy row is part of the document with this key."""

    row: str
    key: KeyT
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Rejection(Generic[KeyT]):
    """A legacy row that cannot be represented, or that is held because a row of the same document cannot.

    Attributes:
        row: the row's id as text.
        code: one of the migration's `rejection_codes`.
        message: a sentence that names what is wrong and where.
        key: the document it would belong to, where that can be read.
        raw: the row as JSON text, for the person who decides.
        fingerprint: of the row's content; an acceptance holds only while it stays the same.
        held_by: the row whose rejection holds this one back; None for a row that is rejected itself.
        accepted: a person accepted that this row stays behind; it no longer holds its document.
    """

    row: str
    code: str
    message: str
    key: KeyT | None = None
    raw: str = ""
    fingerprint: str = ""
    held_by: str | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rows of one document said different things; the leader's word was kept.

    Attributes:
        path: where in the document, e.g. `habits[2].times[0]`.
        kept: what the document says now.
        dropped: what the lower row said.
        row: the lower row.
    """

    path: str
    kept: str
    dropped: str
    row: str


@dataclass(frozen=True, slots=True)
class Merge(Generic[KeyT]):
    """Several legacy rows became one document: its leading row first, then the others in the order they were taken."""

    key: KeyT
    rows: tuple[str, ...]
    conflicts: tuple[Conflict, ...] = ()


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


@dataclass(frozen=True, slots=True)
class CapturedTable:
    """A table whose changes must be noticed even when somebody writes past the app.

    Attributes:
        table: its name.
        row: SQL expression over a row of the transition table that gives the row's id as text, e.g. `id::text`.
        keys: where the table is part of documents and not made of rows with identities of their own: SQL that selects
            the encoded keys of the documents from the transition table `{changed}`; other tables are `{schema}.name`.
    """

    table: str
    row: str = "id::text"
    keys: str = ""


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
class KeepsLegacyIds(Protocol):
    """What a modern store offers that keeps, beside the content, what legacy calls the parts of a document."""

    def keep_legacy_ids(self, documents: Collection[Any]) -> None:
        """Take these names over from legacy's documents, each of which is equal to the one this store has of its key.
        Nothing else is changed."""
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


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field in which two documents differ: values as JSON, None where a side has no such field."""

    path: str
    legacy: Json
    modern: Json


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key that is left out while the modern tables are filled and added `NOT VALID`, then validated, after.

    Names are identifiers, `on_delete` is `CASCADE`-free SQL such as `NO ACTION`.
    """

    name: str
    table: str
    column: str
    references: str
    referenced_column: str = "id"


class Status(StrEnum):
    """Outcome of a preflight check: `warn` lets a step go on, `fail` does not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class PreflightCheck:
    """One thing looked at before the migration starts: what was found, and what to do about it."""

    id: str
    status: Status
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Migration(Generic[KeyT, DocumentT]):
    """The declaration of one migration.

    Attributes:
        name: identifies it in the database and on the command line, e.g. `boards`.
        label: what people read.
        plural: the documents' name in counts, e.g. `boards` for `boards_written`.
        legacy, modern: make the stores; called once per unit of work, so they may hold no connection.
        source: makes a legacy store from a file, for `backfill --source FILE`, given the file's real path; None where
            that makes no sense. What was accepted of its rows is found with `accepted_rows(…, source=path)`.
        rows_from: the real path of the file that `legacy` reads in the place of the legacy store; "" where that is what
            it reads. Not declared: `sync.source.beside` sets it. Lineage and quarantine keep rows apart by it.
        encode_key, decode_key: key to canonical text and back, one to one.
        describe_key: the key's parts by name, as reports show them; all strings.
        unit: what reads and writes move together for, e.g. the owner.
        unit_prefix: what the canonical texts of all keys of a unit begin with, and no others.
        differences: the fields in which a legacy and a modern document differ; not empty unless they are equal, and
            empty then but for what the modern store keeps beside the content, see `KeepsLegacyIds`. Equal documents
            are the rule, so they should cost little.
        marks: how many values worth counting a document holds.
        equal_marks: how many of them two documents of one key agree on.
        image: the document as JSON, for before-images.
        rejection_codes: every code a `Rejection` may carry.
        code_for_error: the code for a row that only the modern database refused; called where the database can be
            asked about it, after what failed was rolled back.
        code_for_duplicate: the code for a row of a `source` whose document another store has with other content.
        modern_tables: in the order they can be dropped one by one, dependents first.
        irreplaceable_tables: those of them whose rows people made and no backfill can make anew; while there are any,
            `shadow_schema drop` refuses.
        foreign_keys: those added after the backfill.
        schema_migrations: Django migrations (app, name) that made the modern tables, unapplied by `shadow_schema drop`.
        preflight: checks of the domain's own, each called once.
    """

    name: str
    label: str
    plural: str
    legacy: Callable[[], RowStore[KeyT, DocumentT]]
    modern: Callable[[], Store[KeyT, DocumentT]]
    source: Callable[[str], RowStore[KeyT, DocumentT]] | None = None
    rows_from: str = ""
    encode_key: Callable[[KeyT], str]
    decode_key: Callable[[str], KeyT]
    describe_key: Callable[[KeyT], Mapping[str, str]]
    unit: Callable[[KeyT], str]
    unit_prefix: Callable[[str], str]
    differences: Callable[[DocumentT, DocumentT], list[FieldDifference]]
    marks: Callable[[DocumentT], int]
    equal_marks: Callable[[DocumentT, DocumentT], int]
    image: Callable[[DocumentT], Json]
    rejection_codes: tuple[str, ...]
    code_for_error: Callable[[DatabaseError], str]
    code_for_duplicate: str = ""
    modern_tables: tuple[str, ...]
    irreplaceable_tables: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    schema_migrations: tuple[tuple[str, str], ...] = ()
    preflight: tuple[Callable[[], PreflightCheck], ...] = ()

    def store(self, side: Side) -> Store[KeyT, DocumentT]:
        return self.legacy() if side is Side.LEGACY else self.modern()


AnyMigration = Migration[Any, Any]
