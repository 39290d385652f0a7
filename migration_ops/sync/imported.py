"""Documents that the modern store has from files: whose they are, and the modern store as one file may touch it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import MD5, Concat

from migration_ops.definition import AnyMigration, Batch, CapturedTable, Cursor, KeyPage, Page, Saved, Span
from migration_ops.models import ImportedDocument

_AMONG = "SELECT key, source FROM migration_ops_importeddocument WHERE migration = %s AND {mine} AND key = ANY(%s)"

_CLAIM = """
INSERT INTO migration_ops_importeddocument (migration, source, key)
SELECT %s, %s, json_array_elements_text(%s) ON CONFLICT (migration, key) DO NOTHING
"""


def of_others(migration: AnyMigration, keys: Collection[Any]) -> dict[Any, str]:
    """The files, by key, that those of these documents came from that are not of the store this migration reads."""
    return {migration.decode_key(key): source for key, source in _among(migration, keys, "source <> %s")}


def take_from_others(migration: AnyMigration, keys: Collection[Any]) -> None:
    """These documents are no other file's any more: somebody asked for what the store this migration reads says."""
    theirs = ImportedDocument.objects.filter(migration=migration.name, key__in=_encoded(migration, keys))
    theirs.exclude(source=migration.rows_from).delete()


def _among(migration: AnyMigration, keys: Collection[Any], mine: str) -> list[tuple[str, str]]:
    if not keys:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_AMONG.format(mine=mine), [migration.name, migration.rows_from, _encoded(migration, keys)])
        found: list[tuple[str, str]] = cursor.fetchall()
        return found


def _encoded(migration: AnyMigration, keys: Iterable[Any]) -> list[str]:
    return [migration.encode_key(key) for key in keys]


@dataclass(frozen=True, slots=True)
class ModernBesideFile:
    """The modern store as one file sees it.

    It may compare with everything, has written what the legacy store has nothing of, and removes only what it wrote.
    Scans and samples show what came from this file; the rest is no extra of it.

    Args:
        migration: the one that reads the file.
        beside: the one that reads the legacy store.
    """

    migration: AnyMigration
    beside: AnyMigration

    @property
    def captured_tables(self) -> Sequence[CapturedTable]:
        return self.beside.modern().captured_tables

    @property
    def transactional(self) -> bool:
        return self.beside.modern().transactional

    def spans(self, parts: int) -> list[Span]:
        last = self._keys().order_by("-key").values_list("key", flat=True).first()
        return [] if last is None else [Span(None, last)]

    def scan(self, span: Span, limit: int, *, claim: Callable[[Collection[Any]], None] | None = None) -> Page[Any, Any]:
        listed = self.scan_keys(span, limit)
        if claim is not None:
            claim(listed.keys)
        documents = self.load(listed.keys, lock=claim is not None).documents
        return Page(documents=documents, cursor=listed.cursor, rows=len(documents))

    def scan_keys(self, span: Span, limit: int) -> KeyPage[Any]:
        keys = self._keys().order_by("key")
        if span.after is not None:
            keys = keys.filter(key__gt=span.after)
        if span.until is not None:
            keys = keys.filter(key__lte=span.until)
        found = list(keys.values_list("key", flat=True)[:limit])
        cursor = found[-1] if len(found) == limit and found[-1] != span.until else None
        return KeyPage([self.migration.decode_key(key) for key in found], cursor)

    def load(self, keys: Collection[Any], *, lock: bool = False) -> Batch[Any, Any]:
        return self.beside.modern().load(keys, lock=lock)

    def absent(self, keys: Collection[Any]) -> set[Any]:
        return self.beside.modern().absent(keys)

    def save(self, documents: Collection[Any]) -> Saved:
        saved = self.beside.modern().save(documents)
        mine = self.beside.legacy().absent([document.key for document in documents])
        with connection.cursor() as cursor:
            keys = json.dumps(_encoded(self.migration, mine), ensure_ascii=False)
            cursor.execute(_CLAIM, [self.migration.name, self.migration.rows_from, keys])
        return saved

    def delete(self, keys: Collection[Any]) -> int:
        mine = [self.migration.decode_key(key) for key, _ in _among(self.migration, keys, "source = %s")]
        if not mine:
            return 0
        self._keys().filter(key__in=_encoded(self.migration, mine)).delete()
        return self.beside.modern().delete(mine)

    def sample(self, size: int, seed: int, *, limit: int, after: Cursor | None = None) -> Page[Any, Any]:
        mine = self._keys().annotate(lot=MD5(Concat("key", Value(f" {seed}", output_field=TextField()))))
        if after is None:
            line, last = mine.order_by("lot").values_list("lot", flat=True)[size - 1 : size].first(), ""
        else:
            line, last = json.loads(str(after))
        chosen = mine.filter(key__gt=last) if line is None else mine.filter(key__gt=last, lot__lte=line)
        keys = list(chosen.order_by("key").values_list("key", flat=True)[:limit])
        documents = self.load([self.migration.decode_key(key) for key in keys]).documents
        cursor = json.dumps([line, keys[-1]]) if len(keys) == limit else None
        return Page(documents=documents, cursor=cursor, rows=len(documents))

    def estimate(self) -> int | None:
        return self._keys().count()

    def _keys(self) -> QuerySet[ImportedDocument]:
        return ImportedDocument.of(self.migration)
