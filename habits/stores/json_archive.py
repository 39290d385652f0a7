"""Keeps a copy of the rows that are about to go from a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from habits.board import BoardKey, encode_key
from habits.stores.json_record import RecordDecoder, holds_non_finite
from migration_ops.definition import Side
from migration_ops.models import BeforeImage

_INSERT = f"""
INSERT INTO {BeforeImage._meta.db_table} (migration, side, key, row, image, cause, actor, at)
VALUES (%s, %s, %s, %s, %s::jsonb, 'archived_row', '', now())
"""


@dataclass(frozen=True, slots=True)
class GoingRow:
    """A row that goes: its id, the key of its board, its text in the file."""

    row: str
    key: BoardKey
    text: str


def archive(migration: str, rows: Iterable[GoingRow]) -> None:
    """Keep these rows as before-images.

    They are committed when this returns, also inside a transaction: the file is replaced at once and does not come back
    when the transaction is rolled back, so the copy must not go with it either.
    """
    values = [(migration, Side.LEGACY.value, encode_key(row.key), row.row, _image(row.text)) for row in rows]
    if not values:
        return
    if not connection.in_atomic_block:
        with transaction.atomic(), connection.cursor() as cursor:
            _insert(cursor, values)
        return
    apart = connection.copy()
    try:
        with apart.cursor() as cursor:
            _insert(cursor, values)
    finally:
        apart.close()


def _insert(cursor: CursorWrapper, values: list[tuple[str, str, str, str, str]]) -> None:
    cursor.executemany(_INSERT, values)


def _image(text: str) -> str:
    """The row as PostgreSQL can keep it: as it stands, or as text where a number is beyond all bounds."""
    return json.dumps({"raw": text}) if holds_non_finite(RecordDecoder().decode(text).value) else text
