"""What has to be changed in a JSON file so that it says what boards say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar
from uuid import UUID

from django.utils import timezone

from habits.board import Board, BoardKey
from habits.stores.json_archive import GoingRow
from habits.stores.json_entry import Entry
from habits.stores.json_file import LegacyFileError
from habits.stores.json_index import Snapshot
from habits.stores.json_record import RecordDecoder, dump, rewrite
from habits.stores.json_rewrite import Rewrite
from habits.stores.legacy_boards import AssembledBoard
from habits.stores.legacy_changes import new_record, write_back
from habits.stores.legacy_rows import MAX_ID, MAX_RECORD_BYTES, ParsedRow
from migration_ops.definition import Json, Saved
from migration_ops.exceptions import UnusableInput

ResultT = TypeVar("ResultT")

Planned = tuple[Rewrite, list[GoingRow], ResultT]
"""What to do with the records, the rows that go by it, and what the caller is told when it is done."""


def save(snapshot: Snapshot, boards: Mapping[BoardKey, Board], present: Iterable[AssembledBoard]) -> Planned[Saved]:
    """For these boards, of which `present` are in the file."""
    current = {assembled.board.key: assembled for assembled in present}
    wanted, going, added = Rewrite(), list[GoingRow](), list[Board]()
    for key, board in boards.items():
        assembled = current.get(key)
        if assembled is None:
            added.append(board)
        elif change := write_back(assembled, board):
            leader = assembled.rows[0]
            entry = _entry(snapshot, leader)
            text = rewrite(snapshot.text(entry), leader.record, change.changes)
            wanted.changed.append((entry, _fitting(text, leader.row)))
            for row in change.removed:
                _remove(snapshot, row, wanted, going)
    if added:
        wanted.added = _new_texts(snapshot, added)
    written = len(wanted.changed) + len(added)
    return wanted, going, Saved(written, len(boards) - written)


def delete(snapshot: Snapshot, boards: Collection[AssembledBoard]) -> Planned[int]:
    """For all rows of these boards."""
    wanted, going = Rewrite(), list[GoingRow]()
    for assembled in boards:
        for row in assembled.rows:
            _remove(snapshot, row, wanted, going)
    return wanted, going, len(boards)


def _entry(snapshot: Snapshot, row: ParsedRow) -> Entry:
    return next(snapshot.entries("position = ?", row.id))


def _remove(snapshot: Snapshot, row: ParsedRow, wanted: Rewrite, going: list[GoingRow]) -> None:
    entry = _entry(snapshot, row)
    wanted.removed.append(entry)
    going.append(GoingRow(row.row, row.key, snapshot.text(entry)))


def _new_texts(snapshot: Snapshot, boards: Iterable[Board]) -> list[str]:
    highest = snapshot.number("SELECT max(position) FROM record WHERE position >= 0") or 0
    shared = snapshot.number("SELECT max(shared_id) FROM record") or 0
    now = timezone.now().isoformat()
    texts = []
    for number, board in enumerate(boards, max(highest, shared) + 1):
        if number > MAX_ID:
            raise LegacyFileError("There is no id left for a new row: the highest possible one is taken.")
        record = {"id": number, **new_record(board), "created_at": now, "updated_at": now}
        texts.append(_fitting(dump(record), str(number)))
    return texts


def _fitting(text: str, row: str) -> str:
    size = len(text.encode())
    if size > MAX_RECORD_BYTES:
        raise LegacyFileError(f"Row {row} would have {size:,} bytes; a record may have {MAX_RECORD_BYTES:,}.")
    return text


def give_owner(snapshot: Snapshot, positions: Iterable[int], owner: UUID) -> Planned[int]:
    """For rows that have no owner.

    Raises:
        UnusableInput: one has an owner already, or cannot be read.
    """
    wanted = Rewrite()
    for entry in snapshot.among("position", positions):
        if entry.fault is not None:
            raise UnusableInput(f"Row {entry.row} cannot be changed: {entry.message}")
        text = snapshot.text(entry)
        record: dict[str, Json] = RecordDecoder().decode(text, exact=True).value
        known = record.get("user_id")
        if known is not None and not (isinstance(known, str) and not known.strip()):
            raise UnusableInput(f"Row {entry.row} has an owner already ({known}); an owner never changes.")
        changed = rewrite(text, record, {"user_id": str(owner)})
        wanted.changed.append((entry, _fitting(changed, entry.row)))
    return wanted, [], len(wanted.changed)
