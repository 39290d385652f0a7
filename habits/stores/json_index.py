"""Where each record of a JSON file stands, so that rows and keys are found without reading the file again.

A SQLite file a version of the legacy file: a row a record, with its place, its row id and key, and no content. It is
written aside and renamed, never changed, so any number of processes share it; when the legacy file is another one, the
next reader builds it anew, once, under a lock. It can be deleted at any time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from habits import board as board_module
from habits.stores import exact_json, json_entry, json_reader, json_record, json_skipping, legacy_rows
from habits.stores.json_entry import FIRST_NAMELESS, Columns, Entry, describe
from habits.stores.json_file import (
    FileChangedError,
    LegacyFileError,
    current_version,
    holds_lines,
    locked,
    opened,
    settle,
    version_of,
)
from habits.stores.json_pulse import Pulse, Watched
from habits.stores.json_reader import JsonReader, fingerprint
from migration_ops.exceptions import UnusableInput

_BUILD_PATIENCE = timedelta(minutes=15)
_ATTEMPTS = 5
_CHUNK = 1_000
_FORMAT = "1"

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE record (
    ordinal INTEGER PRIMARY KEY,  -- number in the file, from 1
    position INTEGER NOT NULL,    -- the row's id, or FIRST_NAMELESS + ordinal
    start INTEGER NOT NULL,       -- byte
    length INTEGER NOT NULL,      -- bytes
    digest TEXT NOT NULL,         -- of the bytes
    key TEXT,                     -- of its board, where that can be read
    owner TEXT,                   -- whom it names, known or not
    fingerprint TEXT NOT NULL,    -- of the content
    fault TEXT,                   -- rejection code of the record as such
    message TEXT,
    shared_id INTEGER             -- the id it shares with another record
);
"""
_INSERT = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
# Which of several records with one id counts would be a guess: none has it.
_SHARED_IDS = f"""
UPDATE record
   SET shared_id = position, position = {FIRST_NAMELESS} + ordinal, fault = coalesce(fault, 'duplicate_key'),
       message = coalesce(message, 'Another record has the id ' || position || ' as well.')
 WHERE position IN (SELECT position FROM record GROUP BY position HAVING count(*) > 1)
"""
_INDEXES = """
CREATE UNIQUE INDEX record_position ON record (position);
CREATE INDEX record_key ON record (key) WHERE key IS NOT NULL;
"""


class Snapshot:
    """One version of the file, open, with its index. What it returns is of that version, or it raises."""

    def __init__(self, path: Path, stream: BinaryIO, version: str, connection: sqlite3.Connection) -> None:
        self.path, self.stream, self.version = path, stream, version
        self._connection = connection

    def entries(self, where: str = "true", *values: object) -> Iterator[Entry]:
        """The entries of which this is true, as the condition orders them."""
        for columns in self._connection.execute(f"SELECT * FROM record WHERE {where}", values):
            yield Entry(*columns)

    def among(self, column: str, values: Iterable[object]) -> Iterator[Entry]:
        """The entries with one of these values in this column."""
        remaining = iter(values)
        while chunk := list(islice(remaining, _CHUNK)):
            yield from self.entries(f"{column} IN ({','.join('?' * len(chunk))})", *chunk)

    def define(self, name: str, function: Callable[[Any], int]) -> None:
        """Let queries call this function of one value under this name."""
        self._connection.create_function(name, 1, function, deterministic=True)

    def rows(self, query: str, *values: object) -> Iterator[tuple[int | str, ...]]:
        """The answer to a query on `record`."""
        yield from self._connection.execute(query, values)

    def number(self, query: str, *values: object) -> int | None:
        """The one number that is the answer to a query; None where there is none."""
        found = self._connection.execute(query, values).fetchone()
        return None if found is None else found[0]

    @property
    def records_start(self) -> int:
        """The byte where the first record may stand."""
        return self.number("SELECT value FROM meta WHERE name = 'records_start'") or 0

    def bytes(self, start: int, end: int) -> bytes:
        """This piece of the file; shorter where the file became shorter."""
        return os.pread(self.stream.fileno(), end - start, start)

    def text(self, entry: Entry) -> str:
        """The record as it stands in the file.

        Raises:
            FileChangedError: it is no longer there.
        """
        raw = self.bytes(entry.start, entry.end)
        if fingerprint(raw) != entry.digest:
            raise FileChangedError(f"{self.path} was changed while it was being read.")
        return raw.decode()


class FileIndex:
    """The index of one legacy file, kept in a folder of its own."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self.lines = holds_lines(path)
        real = f"{_FORMAT}\0{self.lines}\0{os.path.realpath(path)}"
        name = blake2b(os.fsencode(real), digest_size=12).hexdigest()
        self._index = folder / f"{name}.sqlite3"
        self._draft = folder / f"{name}.building"
        self._lock = folder / f"{name}.lock"

    @contextmanager
    def snapshot(self, working: Callable[[], None] = lambda: None) -> Iterator[Snapshot]:
        """The file as it is now.

        Args:
            working: called about every second while an index is made; what it raises ends that.

        Raises:
            UnusableInput: it cannot be used as a whole.
            LegacyFileError: it cannot be indexed, or is being changed all the time.
        """
        for _ in range(_ATTEMPTS):
            with opened(self._path) as (stream, version):
                connection = self._current(version) or self._build(stream, version, Pulse(working))
                if connection is None:
                    continue
                with closing(connection):
                    yield Snapshot(self._path, stream, version, connection)
                return
        raise LegacyFileError(f"{self._path} was changed {_ATTEMPTS} times while it was being read; try again later.")

    def derive(self, before: Snapshot, version: str, change: Callable[[sqlite3.Connection], None]) -> None:
        """Make the index of a new version out of that of the one before."""
        with self._building() as draft:
            with closing(_connect(draft)) as copy:
                before._connection.backup(copy)
                change(copy)
                copy.execute("UPDATE meta SET value = ? WHERE name = 'version'", [version])
            draft.rename(self._index)

    def discard(self) -> None:
        """Forget the index; whoever needs it builds it anew."""
        self._index.unlink(missing_ok=True)

    def _current(self, version: str) -> sqlite3.Connection | None:
        if not self._index.exists():
            return None
        # Discarded by another process just now, or damaged by a power cut before it was on disk: it is built anew.
        with suppress(sqlite3.DatabaseError), ExitStack() as undo:
            connection = sqlite3.connect(f"file:{quote(str(self._index))}?mode=ro&immutable=1", uri=True)
            undo.callback(connection.close)
            found = dict(connection.execute("SELECT name, value FROM meta"))
            if found.get("version") == version and found.get("recipe") == _recipe():
                undo.pop_all()
                return connection
        return None

    def _build(self, stream: BinaryIO, version: str, pulse: Pulse) -> sqlite3.Connection | None:
        """Index this version; None where the file became another one meanwhile."""
        with self._building(pulse) as draft:
            if connection := self._current(version):
                return connection
            settle(version)
            try:
                with closing(_connect(draft)) as made:
                    self._fill(made, Watched(stream, pulse), version)
            except UnusableInput:
                if self._changed(stream, version):
                    return None
                raise
            if self._changed(stream, version):
                return None
            draft.rename(self._index)
        return self._current(version)

    @contextmanager
    def _building(self, pulse: Callable[[], None] = lambda: None) -> Iterator[Path]:
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.touch(mode=0o600)
        except OSError as error:
            raise LegacyFileError(f"{self._lock} cannot be made: {error.strerror}.") from error
        with locked(self._lock, patience=_BUILD_PATIENCE, waiting=pulse):
            try:
                self._draft.unlink(missing_ok=True)
                yield self._draft
            except (sqlite3.OperationalError, OSError) as error:
                raise LegacyFileError(f"The index {self._index} of {self._path} cannot be written: {error}.") from error
            finally:
                # What cannot be removed here cannot be written either, and the next one to build says so.
                with suppress(OSError):
                    self._draft.unlink(missing_ok=True)

    def _changed(self, stream: BinaryIO, version: str) -> bool:
        return version_of(os.fstat(stream.fileno())) != version or current_version(self._path) != version

    def _fill(self, made: sqlite3.Connection, stream: Watched, version: str) -> None:
        made.executescript(_SCHEMA)
        reader = JsonReader(stream, str(self._path), lines=self.lines)
        described = map(describe, reader.records())
        made.execute("BEGIN")
        while chunk := list(islice(described, _CHUNK)):
            made.executemany(_INSERT, chunk)
        stream.pulse()
        made.execute("CREATE INDEX record_shared ON record (position)")
        made.execute(_SHARED_IDS)
        made.execute("DROP INDEX record_shared")
        made.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [("version", version), ("recipe", _recipe()), ("records_start", reader.records_start)],
        )
        made.execute("COMMIT")
        made.executescript(_INDEXES)


def insert(connection: sqlite3.Connection, columns: Columns) -> None:
    """Put a record into an index that is being derived, in the place of the one with its ordinal."""
    connection.execute(_INSERT.replace("INSERT", "INSERT OR REPLACE"), columns)


def _connect(path: Path) -> sqlite3.Connection:
    """A new index; it is thrown away if this process dies, so it needs no journal."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA temp_store = FILE")
    return connection


@lru_cache(maxsize=1)
def _recipe() -> str:
    """Of the code that decides what an index says: another release builds its own."""
    modules = (json_entry, json_reader, json_record, json_skipping, exact_json, legacy_rows, board_module)
    code = b"".join(Path(module.__file__ or "").read_bytes() for module in modules)
    return blake2b(code, digest_size=12).hexdigest()
