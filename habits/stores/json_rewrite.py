"""Changes of single records in a JSON file, as edits of its bytes: every other byte stays as it is."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from habits.stores.json_entry import Entry, describe
from habits.stores.json_file import Edit, LegacyFileError, replace
from habits.stores.json_index import FileIndex, Snapshot, insert
from habits.stores.json_reader import Record, fingerprint
from habits.stores.json_record import RecordDecoder

logger = logging.getLogger(__name__)

_MAX_SEPARATOR = 256
"""More white space than this between two records is not imitated."""


@dataclass(slots=True)
class Rewrite:
    """What is to become of some records: new texts by their entries, those that go, and those that come."""

    changed: list[tuple[Entry, str]] = field(default_factory=list)
    removed: list[Entry] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed or self.added)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The edits, disjoint and in order; and where in the data of the last one each added record begins."""

    edits: list[Edit]
    added_at: list[int]


def apply(rewrite: Rewrite, snapshot: Snapshot, index: FileIndex, target: Path) -> None:
    """Put a version of the file in its place in which these records are changed. The caller holds `rewriting`.

    Raises:
        FileChangedError: the file is no longer the one of the snapshot; nothing was written.
        LegacyFileError: it cannot be written; nothing was written.
    """
    plan = _plan(rewrite, snapshot, lines=index.lines)
    version = replace(target, snapshot.stream, snapshot.version, plan.edits)
    nameless = snapshot.number("SELECT count(*) FROM record WHERE position < 0")
    if rewrite.removed and nameless:
        # Records are called by their number in the file, and the numbers are others now.
        return
    try:
        index.derive(snapshot, version, partial(_follow, rewrite=rewrite, plan=plan))
    except LegacyFileError:
        # The file itself is in place; whoever reads next builds the index, or fails with the same reason.
        logger.warning("The index of %s could not follow its new version.", target, exc_info=True)


def _plan(rewrite: Rewrite, snapshot: Snapshot, *, lines: bool) -> _Plan:
    edits = [Edit(entry.start, entry.end, text.encode()) for entry, text in rewrite.changed]
    removed = sorted(rewrite.removed, key=lambda entry: entry.ordinal)
    count = snapshot.number("SELECT count(*) FROM record") or 0
    kept = count - len(removed)
    if kept:
        edits += _cuts(removed, snapshot)
    elif removed:
        # A file of lines without a byte would look like one that lost its content.
        edits.append(Edit(removed[0].start, removed[-1].end, b"\n" if lines and not rewrite.added else b""))
    edits.sort(key=lambda edit: (edit.start, edit.end))
    if not rewrite.added:
        return _Plan(edits, [])
    separator = _separator(snapshot, lines=lines)
    last_end = snapshot.number("SELECT start + length FROM record ORDER BY ordinal DESC LIMIT 1")
    at = snapshot.records_start if last_end is None else last_end
    data, added_at = b"", []
    for text in rewrite.added:
        if kept or data:
            data += separator
        added_at.append(len(data))
        data += text.encode()
    if lines and not count:
        data += b"\n"
    return _Plan([*edits, Edit(at, at, data)], added_at)


def _cuts(removed: Iterable[Entry], snapshot: Snapshot) -> list[Edit]:
    """Each removed record goes with what separates it from the one before; the first ones with what follows them."""
    cuts: list[Edit] = []
    gone = {entry.ordinal for entry in removed}
    first = next(entry for entry in snapshot.entries("true ORDER BY ordinal") if entry.ordinal not in gone)
    leading = [entry for entry in removed if entry.ordinal < first.ordinal]
    if leading:
        cuts.append(Edit(leading[0].start, first.start, b""))
    for entry in removed:
        if entry.ordinal > first.ordinal:
            before = snapshot.number(
                "SELECT start + length FROM record WHERE ordinal < ? ORDER BY ordinal DESC LIMIT 1", entry.ordinal
            )
            cuts.append(Edit(entry.start if before is None else before, entry.end, b""))
    return cuts


def _separator(snapshot: Snapshot, *, lines: bool) -> bytes:
    """What stands between two records in this file."""
    last = list(snapshot.entries("true ORDER BY ordinal DESC LIMIT 2"))
    if len(last) == 2 and last[0].start - last[1].end <= _MAX_SEPARATOR:
        return snapshot.bytes(last[1].end, last[0].start)
    if lines:
        return b"\n"
    start = snapshot.records_start
    if last and last[0].start - start <= _MAX_SEPARATOR:
        return b"," + snapshot.bytes(start, last[0].start)
    return b",\n"


def _follow(index: sqlite3.Connection, rewrite: Rewrite, plan: _Plan) -> None:
    """Make the index say of every record where it stands after these edits."""
    index.execute("BEGIN")
    index.executemany("DELETE FROM record WHERE ordinal = ?", [(entry.ordinal,) for entry in rewrite.removed])
    index.execute("CREATE TEMPORARY TABLE shift (behind INTEGER PRIMARY KEY, total INTEGER NOT NULL)")
    total = 0
    for edit in plan.edits:
        added_base = edit.start + total
        total += len(edit.data) - (edit.end - edit.start)
        index.execute("INSERT OR REPLACE INTO shift VALUES (?, ?)", (edit.end, total))
    index.execute(
        "UPDATE record SET start = start + coalesce("
        "(SELECT total FROM shift WHERE behind <= record.start ORDER BY behind DESC LIMIT 1), 0)"
        " WHERE start >= (SELECT min(behind) FROM shift)"
    )
    for entry, text in rewrite.changed:
        (start,) = index.execute("SELECT start FROM record WHERE ordinal = ?", (entry.ordinal,)).fetchone()
        insert(index, describe(_record(text, entry.ordinal, start)))
    (last,) = index.execute("SELECT coalesce(max(ordinal), 0) FROM record").fetchone()
    for number, (text, offset) in enumerate(zip(rewrite.added, plan.added_at, strict=True), last + 1):
        insert(index, describe(_record(text, number, added_base + offset)))
    index.execute("COMMIT")
    index.execute("DROP TABLE shift")


def _record(text: str, ordinal: int, start: int) -> Record:
    raw = text.encode()
    said = RecordDecoder().decode(text)
    return Record(ordinal, start, start + len(raw), 0, fingerprint(raw), text, said.value, said.fault, said.ambiguous)
