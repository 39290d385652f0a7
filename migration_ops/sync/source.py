"""A file that is read in the place of the legacy store, beside it.

Whoever is given `beside(migration, path)` works as ever and knows of nothing: its rows have a lineage and a quarantine
of their own, its modern store removes only what came from this file, and a document that another store has with other
content is not taken from here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from migration_ops.definition import (
    AnyMigration,
    Batch,
    CapturedTable,
    Cursor,
    KeptInFile,
    Page,
    Rejection,
    RowLink,
    RowStore,
    Saved,
    Span,
)
from migration_ops.exceptions import Refused, UnusableInput
from migration_ops.preparation import prepare
from migration_ops.sync import imported, quarantining
from migration_ops.sync.imported import ModernBesideFile

LONGEST_NAME = 1_000
"""Bytes; it is part of an index."""

BatchT = TypeVar("BatchT", bound=Batch[Any, Any])


def name_of(migration: AnyMigration, path: str) -> str:
    """What the rows of this file are known by: its real path; "" where that is the legacy store's own file.

    Raises:
        UnusableInput: this migration cannot read a file, or the path is not UTF-8.
    """
    if migration.source is None:
        raise UnusableInput(f"The migration {migration.name} cannot read a file; leave --source out.")
    try:
        name = os.path.realpath(path)
        length = len(name.encode())
    except ValueError as error:
        raise UnusableInput(f"The path {path!r} is not UTF-8 or contains NUL; rename the file.") from error
    if length > LONGEST_NAME:
        raise UnusableInput(f"The path {name} has {length} bytes; at most {LONGEST_NAME} can be kept. Move the file.")
    legacy = migration.legacy()
    return "" if isinstance(legacy, KeptInFile) and legacy.real_path == name else name


def beside(migration: AnyMigration, name: str) -> AnyMigration:
    """The same migration, reading the file of this name; the migration itself for the name ""."""
    if not name:
        return migration
    reading = replace(migration, rows_from=name)
    modern = partial(ModernBesideFile, reading, migration)
    return replace(reading, legacy=partial(_store, reading, migration), modern=modern)


def _store(migration: AnyMigration, legacy: AnyMigration) -> FileBesideLegacy:
    if legacy.source is None:
        raise UnusableInput(f"The migration {legacy.name} cannot read a file; leave --source out.")
    return FileBesideLegacy(migration, legacy, legacy.source(migration.rows_from))


@dataclass(frozen=True, slots=True)
class FileBesideLegacy:
    """The rows of a file, without the documents that another store has with other content: the legacy store's word
    counts, and then that of the file that came first. Rows of such documents are rejected, each by itself.

    Args:
        migration: the one that reads the file.
        beside: the one that reads the legacy store.
        file: the file as its own store sees it.
    """

    migration: AnyMigration
    beside: AnyMigration
    file: RowStore[Any, Any]

    @property
    def captured_tables(self) -> Sequence[CapturedTable]:
        return self.file.captured_tables

    @property
    def transactional(self) -> bool:
        return self.file.transactional

    def prepare(self, working: Callable[[], None]) -> None:
        prepare(self.file, working)
        prepare(self.beside.legacy(), working)

    def without_rejected(self) -> FileBesideLegacy:
        return replace(self, file=self.file.without_rejected())

    def spans(self, parts: int) -> list[Span]:
        return self.file.spans(parts)

    def scan(self, span: Span, limit: int, *, claim: Callable[[Collection[Any]], None] | None = None) -> Page[Any, Any]:
        return self._without_duplicates(self.file.scan(span, limit, claim=claim), lock=claim is not None)

    def load(self, keys: Collection[Any], *, lock: bool = False) -> Batch[Any, Any]:
        return self._without_duplicates(self.file.load(keys, lock=lock), lock=lock)

    def absent(self, keys: Collection[Any]) -> set[Any]:
        return self.file.absent(keys)

    def sample(self, size: int, seed: int, *, limit: int, after: Cursor | None = None) -> Page[Any, Any]:
        return self._without_duplicates(self.file.sample(size, seed, limit=limit, after=after), lock=False)

    def estimate(self) -> int | None:
        return self.file.estimate()

    def keys_of(self, rows: Collection[str]) -> dict[str, Any]:
        return self.file.keys_of(rows)

    def keyless(self, rows: Collection[str]) -> list[Rejection[Any]]:
        return self.file.keyless(rows)

    def version(self) -> str | None:
        return self.file.version()

    def fingerprints(self) -> Iterator[tuple[str, str]]:
        return self.file.fingerprints()

    def save(self, documents: Collection[Any]) -> Saved:
        raise self._read_only()

    def delete(self, keys: Collection[Any]) -> int:
        raise self._read_only()

    def assign_unit(self, rows: Collection[str], unit: str) -> int:
        raise self._read_only()

    def _read_only(self) -> Refused:
        return Refused(f"{self.migration.rows_from} is only read; correct it and run `backfill --source` again.")

    def _without_duplicates(self, batch: BatchT, *, lock: bool) -> BatchT:
        """Turn rows of documents that are somebody else's into rejections, in place."""
        documents = batch.by_key()
        if elsewhere := {link.key for link in batch.links} - documents.keys():
            documents |= self.file.load(elsewhere).by_key()
        messages = self._duplicates(documents, lock=lock)
        if not messages:
            return batch
        links = [link for link in batch.links if link.key in messages]
        led = {document.key for document in batch.documents} & messages.keys()
        if isinstance(batch, Page):
            batch.merged_rows -= len(links) - len(led)
        batch.links = [link for link in batch.links if link.key not in messages]
        batch.documents = [document for document in batch.documents if document.key not in led]
        batch.merges = [merge for merge in batch.merges if merge.key not in messages]
        batch.rejections = [*batch.rejections, *self._rejections(links, documents, messages)]
        return batch

    def _rejections(
        self, links: Collection[RowLink[Any]], documents: Mapping[Any, Any], messages: Mapping[Any, str]
    ) -> Iterator[Rejection[Any]]:
        rows = [link.row for link in links]
        accepted = quarantining.accepted_rows(self.migration.name, rows, source=self.migration.rows_from)
        for link in links:
            image = self.migration.image(documents[link.key])
            yield Rejection(
                row=link.row,
                code=self.migration.code_for_duplicate,
                message=messages[link.key],
                key=link.key,
                raw=json.dumps(image, ensure_ascii=False, default=str),
                fingerprint=link.fingerprint,
                accepted=accepted.get(link.row) == link.fingerprint,
            )

    def _duplicates(self, documents: Mapping[Any, Any], *, lock: bool) -> dict[Any, str]:
        """Why those of these documents of the file are not taken from it that another store has differently."""
        if not documents:
            return {}
        legacy = self.beside.legacy().load(documents.keys(), lock=lock)
        theirs = legacy.by_key()
        messages = {
            said.key: f"Row {said.row} of the legacy store belongs to the same document and is in quarantine"
            f" ({said.code}). The legacy store's word counts before that of a file, so this row was not written."
            for said in legacy.rejections
            if said.key in documents and said.key not in theirs
        }
        for key in theirs.keys() & documents.keys():
            if self.migration.differences(theirs[key], documents[key]):
                messages[key] = (
                    "The legacy store has the same document with other content. Its word counts before that of a file,"
                    " so this row was not written."
                )
        free = [key for key in documents if key not in theirs and key not in messages]
        return messages | self._of_other_files({key: documents[key] for key in free})

    def _of_other_files(self, documents: Mapping[Any, Any]) -> dict[Any, str]:
        sources = imported.of_others(self.migration, documents.keys())
        written = self.beside.modern().load(sources.keys()).by_key() if sources else {}
        return {
            key: f"The same document came from {source} with other content, so this row was not written."
            for key, source in sources.items()
            if key not in written or self.migration.differences(documents[key], written[key])
        }
