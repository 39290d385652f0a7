"""The two stores of the tiny domain, as plain as the protocols allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

from django.db import connection

from migration_ops.definition import Batch, CapturedTable, Cursor, Page, Rejection, RowLink, Saved, Span
from migration_ops.exceptions import UnusableInput
from migration_ops.sync.quarantining import accepted_rows
from tests.notes.note import Assembled, Note, NoteKey, Row, assemble, reject

COLUMNS = "id, notebook, title, body"


def _query(sql: str, parameters: Sequence[object] = ()) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def _execute(sql: str, parameters: Sequence[object] = ()) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.rowcount


def _spans(table: str, parts: int) -> list[Span]:
    ids = [row[0] for row in _query(f"SELECT id FROM {table} ORDER BY id")]
    if not ids:
        return []
    size = -(-len(ids) // parts)
    ends = [ids[min(n + size, len(ids)) - 1] for n in range(0, len(ids), size)]
    return [Span(after, until) for after, until in zip([None, *ends], ends, strict=False)]


def _drawn(
    columns: str, table: str, size: int, seed: int, limit: int, after: Cursor | None
) -> tuple[list[tuple], Cursor | None]:
    """The next rows in the order of a hash, and where to go on: how many are left, and after which hash."""
    left, last = (size, "") if after is None else (int(str(after).partition(" ")[0]), str(after).partition(" ")[2])
    lot = "md5(id::text || %s)"
    sql = f"SELECT {lot} AS lot, {columns} FROM {table} WHERE {lot} > %s ORDER BY lot LIMIT %s"
    rows = _query(sql, [str(seed), str(seed), last, min(left, limit)])
    more = len(rows) == limit < left
    return [row[1:] for row in rows], f"{left - len(rows)} {rows[-1][0]}" if more else None


class LegacyNotes:
    captured_tables = (CapturedTable("legacy_notes", "id::text"),)
    transactional = True
    _rejected_count = True

    def without_rejected(self) -> LegacyNotes:
        store = LegacyNotes()
        store._rejected_count = False
        return store

    def spans(self, parts: int) -> list[Span]:
        return _spans("legacy_notes", parts)

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[NoteKey]], None] | None = None
    ) -> Page[NoteKey, Note]:
        where = "id > COALESCE(%s, 0) AND (%s::bigint IS NULL OR id <= %s) ORDER BY id LIMIT %s"
        bounds = [span.after, span.until, span.until, limit]
        lock = ""
        claimed: set[NoteKey] = set()
        if claim is not None:
            first = [Row(*row) for row in _query(f"SELECT {COLUMNS} FROM legacy_notes WHERE {where}", bounds)]
            claimed = {row.key for row in first if row.key}
            claim(claimed)
            lock = " FOR SHARE"
        rows = [Row(*row) for row in _query(f"SELECT {COLUMNS} FROM legacy_notes WHERE {where}{lock}", bounds)]
        keys = {row.key for row in rows if row.key}
        if claim is not None and keys - claimed:
            claim(keys - claimed)
        on_page = {row.id for row in rows}
        page = Page(cursor=rows[-1].id if len(rows) == limit else None, rows=len(rows))
        page.rejections += [rejection for row in rows if row.key is None and (rejection := reject(row))]
        for key, assembled in self._assembled(keys, lock).items():
            represented = {int(row) for row in assembled.merge.rows} if assembled.merge else {assembled.leader}
            page.links += [
                RowLink(str(row), key, assembled.fingerprints[str(row)])
                for row in represented & on_page
                if assembled.note
            ]
            page.rejections += [said for said in assembled.rejections if int(said.row) in on_page]
            if assembled.note and assembled.leader in on_page:
                page.documents.append(assembled.note)
                page.merges += [assembled.merge] if assembled.merge else []
            if assembled.note:
                page.merged_rows += len((represented - {assembled.leader}) & on_page)
        return page

    def load(self, keys: Collection[NoteKey], *, lock: bool = False) -> Batch[NoteKey, Note]:
        batch: Batch[NoteKey, Note] = Batch()
        for key, assembled in self._assembled(keys, " FOR SHARE" if lock else "").items():
            batch.rejections += assembled.rejections
            if assembled.note:
                rows = assembled.merge.rows if assembled.merge else (str(assembled.leader),)
                batch.documents.append(assembled.note)
                batch.links += [RowLink(row, key, assembled.fingerprints[row]) for row in rows]
                batch.merges += [assembled.merge] if assembled.merge else []
        return batch

    def _assembled(self, keys: Collection[NoteKey], lock: str) -> dict[NoteKey, Assembled]:
        groups: dict[NoteKey, list[Row]] = defaultdict(list)
        sql = f"SELECT {COLUMNS} FROM legacy_notes WHERE notebook = ANY(%s) ORDER BY id{lock}"
        for row in (Row(*found) for found in _query(sql, [sorted({key.notebook for key in keys})])):
            if row.key in keys:
                groups[row.key].append(row)
        suspicious = [str(row.id) for rows in groups.values() for row in rows if reject(row)]
        accepted = accepted_rows("notes", suspicious)
        if not self._rejected_count:
            accepted = {str(row.id): row.fingerprint for rows in groups.values() for row in rows if reject(row)}
        return {key: assemble(key, rows, accepted) for key, rows in groups.items()}

    def absent(self, keys: Collection[NoteKey]) -> set[NoteKey]:
        return set(keys) - set(self._assembled(keys, ""))

    def save(self, documents: Collection[Note]) -> Saved:
        known = self.load([document.key for document in documents]).by_key()
        changed = [document for document in documents if known.get(document.key) != document]
        for document in changed:
            self.delete([document.key])
            for line in reversed(document.lines):
                _execute("INSERT INTO legacy_notes (notebook, title, body) VALUES (%s, %s, %s)", [*document.key, line])
        return Saved(len(changed), len(documents) - len(changed))

    def delete(self, keys: Collection[NoteKey]) -> int:
        kept = "" if self._rejected_count else " AND body IS NOT NULL"
        sql = f"DELETE FROM legacy_notes WHERE notebook = %s AND btrim(title) = %s{kept}"
        return sum(_execute(sql, list(key)) > 0 for key in keys)

    def sample(self, size: int, seed: int, *, limit: int, after: Cursor | None = None) -> Page[NoteKey, Note]:
        rows, cursor = _drawn(f"{COLUMNS}", "legacy_notes", size, seed, limit, after)
        batch = self.load({key for row in rows if (key := Row(*row).key)})
        return Page(
            documents=batch.documents, links=batch.links, rejections=batch.rejections, cursor=cursor, rows=len(rows)
        )

    def estimate(self) -> int | None:
        return _query("SELECT count(*) FROM legacy_notes")[0][0]

    def keys_of(self, rows: Collection[str]) -> dict[str, NoteKey | None]:
        found = _query(f"SELECT {COLUMNS} FROM legacy_notes WHERE id = ANY(%s)", [[int(row) for row in rows]])
        return {str(row[0]): Row(*row).key for row in found}

    def keyless(self, rows: Collection[str]) -> list[Rejection[NoteKey]]:
        found = _query(f"SELECT {COLUMNS} FROM legacy_notes WHERE id = ANY(%s)", [[int(row) for row in rows]])
        return [said for row in found if Row(*row).key is None and (said := reject(Row(*row)))]

    def assign_unit(self, rows: Collection[str], unit: str) -> int:
        ids = [int(row) for row in rows]
        if _query("SELECT 1 FROM legacy_notes WHERE id = ANY(%s) AND notebook IS NOT NULL", [ids]):
            raise UnusableInput("A row has a notebook already.")
        return _execute("UPDATE legacy_notes SET notebook = %s WHERE id = ANY(%s)", [unit, ids])

    def version(self) -> str | None:
        return None

    def fingerprints(self) -> Iterator[tuple[str, str]]:
        for row in _query(f"SELECT {COLUMNS} FROM legacy_notes ORDER BY id"):
            yield str(row[0]), Row(*row).fingerprint


class ModernNotes:
    captured_tables = (
        CapturedTable(
            "modern_notes",
            keys="SELECT format('[%s, %s]', to_json(notebook), to_json(title)) FROM {changed}",
            one_a_document=True,
        ),
    )
    transactional = True

    def spans(self, parts: int) -> list[Span]:
        return _spans("modern_notes", parts)

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[NoteKey]], None] | None = None
    ) -> Page[NoteKey, Note]:
        where = "id > COALESCE(%s, 0) AND (%s::bigint IS NULL OR id <= %s) ORDER BY id LIMIT %s"
        rows = _query(
            f"SELECT id, notebook, title, lines FROM modern_notes WHERE {where}",
            [span.after, span.until, span.until, limit],
        )
        notes = [Note(NoteKey(notebook, title), tuple(lines)) for _, notebook, title, lines in rows]
        if claim is not None:
            claim([note.key for note in notes])
        return Page(documents=notes, cursor=rows[-1][0] if len(rows) == limit else None, rows=len(rows))

    def load(self, keys: Collection[NoteKey], *, lock: bool = False) -> Batch[NoteKey, Note]:
        wanted = list(keys)
        rows = _query(
            "SELECT notebook, title, lines FROM modern_notes JOIN unnest(%s::text[], %s::text[])"
            " AS wanted (notebook, title) USING (notebook, title)" + (" FOR UPDATE OF modern_notes" if lock else ""),
            [[key.notebook for key in wanted], [key.title for key in wanted]],
        )
        return Batch(documents=[Note(NoteKey(notebook, title), tuple(lines)) for notebook, title, lines in rows])

    def absent(self, keys: Collection[NoteKey]) -> set[NoteKey]:
        return set(keys) - set(self.load(keys).by_key())

    def save(self, documents: Collection[Note]) -> Saved:
        known = self.load([document.key for document in documents]).by_key()
        changed = [document for document in documents if known.get(document.key) != document]
        for document in changed:
            _execute(
                "INSERT INTO modern_notes (notebook, title, lines) VALUES (%s, %s, %s)"
                " ON CONFLICT (notebook, title) DO UPDATE SET lines = excluded.lines",
                [*document.key, list(document.lines)],
            )
        return Saved(len(changed), len(documents) - len(changed))

    def delete(self, keys: Collection[NoteKey]) -> int:
        return sum(_execute("DELETE FROM modern_notes WHERE notebook = %s AND title = %s", list(key)) for key in keys)

    def sample(self, size: int, seed: int, *, limit: int, after: Cursor | None = None) -> Page[NoteKey, Note]:
        rows, cursor = _drawn("notebook, title, lines", "modern_notes", size, seed, limit, after)
        notes = [Note(NoteKey(notebook, title), tuple(lines)) for notebook, title, lines in rows]
        return Page(documents=notes, cursor=cursor, rows=len(notes))

    def estimate(self) -> int | None:
        return _query("SELECT count(*) FROM modern_notes")[0][0]
