"""The legacy store behind one JSON file: an object with `records`, a bare array, or one row a line.

Reading goes through an index of the file (`json_index`), so that no call but the first after a change reads it whole.
Writing replaces the file in one step (`json_file`, `json_rewrite`).

What differs from a table: a file cannot take part in a transaction. `save`, `delete` and `assign_unit` replace it at
once, and a rollback does not bring it back. There are no row locks: whoever writes through the engine holds the lock of
the key, and anybody else is noticed afterwards, by `version` and `fingerprints`.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from django.conf import settings

from habits.board import Board, BoardKey, decode_key, encode_key, unit_prefix
from habits.stores import json_changes as changes
from habits.stores.json_archive import archive
from habits.stores.json_entry import Entry, position_of
from habits.stores.json_file import (
    LOCK_PATIENCE,
    FileChangedError,
    LegacyFileError,
    current_version,
    rewriting,
)
from habits.stores.json_index import FileIndex, Snapshot
from habits.stores.json_record import RecordDecoder, decode_checked
from habits.stores.json_rewrite import apply
from habits.stores.legacy_boards import (
    Accepted,
    AssembledBoard,
    Assembly,
    assemble,
    left_always,
    left_by_decision,
)
from habits.stores.legacy_heads import users_among
from habits.stores.legacy_rows import MAX_ID, MAX_RECORD_BYTES, ParsedRow, owner_of
from habits.stores.legacy_verdict import parse
from migration_ops.definition import Batch, CapturedTable, Cursor, Page, Rejection, Saved, Span
from migration_ops.exceptions import DocumentHeld, UnusableInput
from migration_ops.patience import bounded
from migration_ops.sentence import said
from migration_ops.sync.carry import OvertakenError
from migration_ops.sync.quarantining import accepted_rows

ResultT = TypeVar("ResultT")

PAGE_BYTES = 8 * 1024 * 1024
"""A page of a scan ends early when its records are larger than this, so that its memory is bounded."""

_ATTEMPTS = 5
_SHOWN = 65_536
_SHOWN_OF_TOO_LARGE = 1_000
_ON_SPAN = "position > ? AND position <= ? ORDER BY position LIMIT ?"
_LINE = """
SELECT lot(key) AS lot, key FROM (SELECT DISTINCT key FROM record WHERE key IS NOT NULL) ORDER BY lot, key
 LIMIT 1 OFFSET ?
"""
_CHOSEN = f"""
SELECT key, sum(CASE WHEN length <= {MAX_RECORD_BYTES} THEN length ELSE 0 END) FROM record
 WHERE key > ? AND {{where}} GROUP BY key ORDER BY key LIMIT ?
"""
_LOWEST, _HIGHEST = -(2**63), MAX_ID


class LegacyJsonStore:
    """Boards made of the rows of one JSON file, in the order of their ids; rows without usable id come first.

    Args:
        path: the file. Its form follows from its name (`*.ndjson`, `*.jsonl`: a row a line) and its first character.
        accepted: fingerprints of those of the given rows that a person decided to leave behind.
        migration: under whose name removed rows are archived.
        patience: how long a write waits for another one to this file.

    Every call raises `UnusableInput` where the file as a whole cannot be used, and says where.
    """

    captured_tables: tuple[CapturedTable, ...] = ()
    transactional = False

    def __init__(
        self,
        path: str | Path,
        accepted: Accepted | None = None,
        migration: str = "boards",
        *,
        patience: timedelta = LOCK_PATIENCE,
    ) -> None:
        if not str(path):
            raise UnusableInput(said("No legacy file is named; set LEGACY_JSON_PATH."))
        self._path = Path(path)
        self._left_behind = left_by_decision(accepted or partial(accepted_rows, migration))
        self._migration = migration
        self._patience = patience
        self._index = FileIndex(self._path, settings.VAR_DIR / "spool")
        self._claimed: dict[BoardKey, list[str]] = {}

    def without_rejected(self) -> LegacyJsonStore:
        store = copy(self)
        store._left_behind = left_always
        return store

    def keys_of_unit(self, unit: str) -> set[BoardKey]:
        def read(snapshot: Snapshot) -> set[BoardKey]:
            begin = unit_prefix(unit)
            query = "SELECT DISTINCT key FROM record WHERE key >= ? AND key < ?"
            return {decode_key(str(key)) for (key,) in snapshot.rows(query, begin, f"{begin}\U0010ffff")}

        return self._read(read)

    @property
    def real_path(self) -> str:
        return os.path.realpath(self._path)

    def spans(self, parts: int) -> list[Span]:
        return self._read(partial(_spans, parts=parts))

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[BoardKey]], None] | None = None
    ) -> Page[BoardKey, Board]:
        """As `Store.scan`; a page of large records may hold fewer rows than `limit`.

        With `claim` nothing is locked but the keys: a change through the engine needs them, any other is noticed by
        `version`.
        """
        claimed: set[str] = set()
        while True:
            if claim is not None:
                keys = self._read(lambda snapshot: _keys(_entries_of_page(snapshot, span, limit)[0]))
                if new := keys - claimed:
                    claim([decode_key(key) for key in new])
                    claimed |= new
            page, keys = self._read(lambda snapshot: self._page(snapshot, span, limit))
            if claim is None or keys <= claimed:
                return page

    def load(self, keys: Collection[BoardKey], *, lock: bool = False) -> Batch[BoardKey, Board]:
        """As `Store.load`. Nobody can be kept from changing a file: with `lock`, this store does not write over rows of
        these boards that are no longer what they were."""

        def read(snapshot: Snapshot) -> Assembly:
            if lock:
                self._claimed |= _contents(snapshot, keys)
            return self._load(snapshot, keys)

        return self._read(read).batch()

    def absent(self, keys: Collection[BoardKey]) -> set[BoardKey]:
        by_text = {encode_key(key): key for key in keys}
        present = self._read(lambda snapshot: {entry.key for entry in snapshot.among("key", by_text)})
        return {key for text, key in by_text.items() if text not in present}

    def save(self, documents: Collection[Board]) -> Saved:
        """Make the file say what these boards say; it is left alone where it does already.

        Raises:
            DocumentHeld: a row of one of them is in quarantine; nobody but a person may decide what becomes of it.
            LegacyFileError: the file cannot be replaced, or others keep it locked; it is as it was.
            OvertakenError: somebody changed one of them after it was loaded for writing; the file is as it was.
        """
        boards = {board.key: board for board in documents}
        return self._write(lambda snapshot: changes.save(snapshot, boards, self._writable(snapshot, boards)), boards)

    def delete(self, keys: Collection[BoardKey]) -> int:
        """Remove the rows of these boards, after a copy of each went to the archive; how many boards there were.

        Raises:
            DocumentHeld: a row of one of them is in quarantine.
            LegacyFileError, OvertakenError: as for `save`.
        """
        return self._write(lambda snapshot: changes.delete(snapshot, self._writable(snapshot, keys)), keys)

    def sample(self, size: int, seed: int, *, limit: int, after: Cursor | None = None) -> Page[BoardKey, Board]:
        """Which boards are chosen depends on the seed and the keys in the file alone."""
        return self._read(lambda snapshot: self._sampled(snapshot, size, seed, limit, after))

    def estimate(self) -> int | None:
        return self._read(lambda snapshot: snapshot.number("SELECT count(*) FROM record"))

    def keys_of(self, rows: Collection[str]) -> dict[str, BoardKey | None]:
        return self._read(
            lambda snapshot: {
                entry.row: None if entry.key is None else decode_key(entry.key)
                for entry in snapshot.among("position", _positions(rows))
            }
        )

    def keyless(self, rows: Collection[str]) -> list[Rejection[BoardKey]]:
        def read(snapshot: Snapshot) -> Assembly:
            entries = [entry for entry in snapshot.among("position", _positions(rows)) if entry.key is None]
            return self._assemble(self._outcomes(snapshot, entries))

        return self._read(read).rejections

    def assign_unit(self, rows: Collection[str], unit: str) -> int:
        """Give these rows, which must have no owner, this one; how many there were.

        Raises:
            UnusableInput: there is no such user, or a row has an owner already or cannot be read; nothing was changed.
            LegacyFileError: the file cannot be replaced, or others keep it locked; it is as it was.
        """
        owner = owner_of(unit)
        if owner is None or not users_among([str(owner)]):
            raise UnusableInput(f"There is no user {unit}; create the account first.")
        return self._write(lambda snapshot: changes.give_owner(snapshot, _positions(rows), owner), ())

    def prepare(self, working: Callable[[], None]) -> None:
        """Bring the index up to date. A file of 1 GB takes a minute and more, whoever does it."""
        with self._index.snapshot(working):
            pass

    def version(self) -> str | None:
        return current_version(self._path)

    def fingerprints(self) -> Iterator[tuple[str, str]]:
        with self._index.snapshot() as snapshot:
            for entry in snapshot.entries("true ORDER BY position"):
                yield entry.row, entry.fingerprint

    def owners(self) -> Iterator[UUID]:
        """Every owner that a row names, each once."""
        with self._index.snapshot() as snapshot:
            query = "SELECT DISTINCT owner FROM record WHERE owner IS NOT NULL ORDER BY owner"
            for (owner,) in snapshot.rows(query):
                yield UUID(str(owner))

    def _read(self, read: Callable[[Snapshot], ResultT]) -> ResultT:
        """What `read` makes of one version of the file."""
        for _ in range(_ATTEMPTS):
            try:
                with self._index.snapshot() as snapshot, _collector_paused():
                    return read(snapshot)
            except FileChangedError:
                self._index.discard()
        raise LegacyFileError(f"{self._path} was changed {_ATTEMPTS} times while it was being read; try again later.")

    def _write(self, plan: Callable[[Snapshot], changes.Planned[ResultT]], keys: Collection[BoardKey]) -> ResultT:
        """Replace the file by what `plan`, which is about these boards, makes of its present version."""
        for _ in range(_ATTEMPTS):
            try:
                with (
                    rewriting(self._path, patience=bounded(self._patience)) as target,
                    self._index.snapshot() as snapshot,
                ):
                    self._refuse_if_overtaken(snapshot, keys)
                    wanted, going, result = plan(snapshot)
                    if wanted:
                        archive(self._migration, going)
                        apply(wanted, snapshot, self._index, target)
                    for key in keys:
                        self._claimed.pop(key, None)
                    return result
            except FileChangedError:
                self._index.discard()
        raise LegacyFileError(
            f"{self._path} was changed {_ATTEMPTS} times while it was being written; it is as it was."
        )

    def _refuse_if_overtaken(self, snapshot: Snapshot, keys: Collection[BoardKey]) -> None:
        claimed = {key: self._claimed[key] for key in keys if key in self._claimed}
        if claimed and _contents(snapshot, claimed) != claimed:
            raise OvertakenError(f"A week in {self._path} was changed while it was to be written over.")

    def _page(self, snapshot: Snapshot, span: Span, limit: int) -> tuple[Page[BoardKey, Board], set[str]]:
        entries, exhausted = _entries_of_page(snapshot, span, limit)
        keys = _keys(entries)
        rows = {entry.row for entry in entries}
        others = [entry for entry in snapshot.among("key", keys) if entry.row not in rows]
        cursor = None if exhausted else entries[-1].position
        return self._assemble(self._outcomes(snapshot, [*entries, *others])).page(rows, cursor), keys

    def _sampled(
        self, snapshot: Snapshot, size: int, seed: int, limit: int, after: Cursor | None
    ) -> Page[BoardKey, Board]:
        keys, cursor = _drawn(snapshot, size, seed, limit, after)
        assembly = self._load(snapshot, map(decode_key, keys))
        batch = assembly.batch()
        return assembly.page({link.row for link in batch.links} | {said.row for said in batch.rejections}, cursor)

    def _load(self, snapshot: Snapshot, keys: Iterable[BoardKey], *, exact: bool = False) -> Assembly:
        entries = list(snapshot.among("key", {encode_key(key) for key in keys}))
        return self._assemble(self._outcomes(snapshot, entries, exact=exact))

    def _outcomes(
        self, snapshot: Snapshot, entries: Collection[Entry], *, exact: bool = False
    ) -> list[ParsedRow | Rejection[BoardKey]]:
        owners = users_among({entry.owner for entry in entries if entry.owner is not None})
        decoder = RecordDecoder()
        outcomes: list[ParsedRow | Rejection[BoardKey]] = []
        for entry in entries:
            if entry.fault is not None:
                outcomes.append(_faulty(snapshot, entry))
                continue
            text = snapshot.text(entry)
            record = decoder.decode(text, exact=True).value if exact else decode_checked(text)
            outcomes.append(parse(record, owners, place=entry.row, fingerprint=entry.fingerprint))
        return outcomes

    def _assemble(self, outcomes: Collection[ParsedRow | Rejection[BoardKey]]) -> Assembly:
        rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejection)]
        return assemble(outcomes, self._left_behind(rejected) if rejected else {})

    def _writable(self, snapshot: Snapshot, keys: Iterable[BoardKey]) -> list[AssembledBoard]:
        assembly = self._load(snapshot, keys, exact=True)
        holding = [rejection for rejection in assembly.rejections if not rejection.accepted and not rejection.held_by]
        if holding:
            culprit = holding[0]
            raise DocumentHeld(f"Row {culprit.row} is in quarantine ({culprit.code}), so its board was not written.")
        return assembly.boards


def _contents(snapshot: Snapshot, keys: Collection[BoardKey]) -> dict[BoardKey, list[str]]:
    """What the rows of each of these boards say, wherever in the file they are."""
    found: dict[BoardKey, list[str]] = {key: [] for key in keys}
    by_text = {encode_key(key): key for key in keys}
    for entry in snapshot.among("key", by_text):
        if entry.key is not None:
            found[by_text[entry.key]].append(entry.fingerprint)
    return {key: sorted(fingerprints) for key, fingerprints in found.items()}


def _entries_of_page(snapshot: Snapshot, span: Span, limit: int) -> tuple[list[Entry], bool]:
    """The entries of the page, and whether nothing follows them."""
    after = _LOWEST if span.after is None else int(span.after)
    until = _HIGHEST if span.until is None else int(span.until)
    entries: list[Entry] = []
    held = 0
    for entry in snapshot.entries(_ON_SPAN, after, until, limit + 1):
        held += entry.length if entry.length <= MAX_RECORD_BYTES else 0
        if len(entries) == limit or (entries and held > PAGE_BYTES):
            return entries, False
        entries.append(entry)
    return entries, True


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Decoded records hold no cycles, but so many objects that looking for cycles takes almost half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _keys(entries: Iterable[Entry]) -> set[str]:
    return {entry.key for entry in entries if entry.key is not None}


def _positions(rows: Iterable[str]) -> set[int]:
    return {position for row in rows if (position := position_of(row)) is not None and position <= _HIGHEST}


def _spans(snapshot: Snapshot, parts: int) -> list[Span]:
    count = snapshot.number("SELECT count(*) FROM record") or 0
    last = sorted({count * part // parts for part in range(1, parts + 1)} - {0})
    bounds = [snapshot.number("SELECT position FROM record ORDER BY position LIMIT 1 OFFSET ?", n - 1) for n in last]
    return [Span(after, until) for after, until in zip([None, *bounds], bounds, strict=False)]


def _drawn(
    snapshot: Snapshot, size: int, seed: int, limit: int, after: Cursor | None
) -> tuple[list[str], Cursor | None]:
    """The next of the keys whose hashes are the lowest, in the order of the keys; and where to go on."""
    snapshot.define("lot", partial(_lot, seed))
    if after is None:
        line = next(snapshot.rows(_LINE, size - 1), None)
        last = ""
    else:
        line, last = json.loads(str(after))
    where, values = ("true", []) if line is None else ("(lot(key), key) <= (?, ?)", list(line))
    found = snapshot.rows(_CHOSEN.format(where=where), last, *values, limit)
    keys: list[str] = []
    held = 0
    for key, size_of_rows in found:
        if held >= PAGE_BYTES:
            break
        keys.append(str(key))
        held += int(size_of_rows)
    more = len(keys) == limit or held >= PAGE_BYTES
    return keys, json.dumps([line, keys[-1]]) if keys and more else None


def _lot(seed: int, key: str) -> int:
    return int.from_bytes(blake2b(f"{seed} {key}".encode(), digest_size=8).digest(), signed=True)


def _faulty(snapshot: Snapshot, entry: Entry) -> Rejection[BoardKey]:
    """A record that is wrong as such, whatever its content says."""
    if entry.fault == "record_too_large":
        begin = snapshot.bytes(entry.start, min(entry.end, entry.start + _SHOWN_OF_TOO_LARGE))
        raw = begin.decode(errors="ignore") + "…"
    else:
        raw = snapshot.text(entry)
        raw = raw if len(raw) <= _SHOWN else raw[:_SHOWN] + "…"
    key = None if entry.key is None else decode_key(entry.key)
    return Rejection(entry.row, entry.fault or "", entry.message or "", key, raw, entry.fingerprint)
