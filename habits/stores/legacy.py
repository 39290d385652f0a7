"""The legacy store of this installation: its table, or its JSON file; and a file that is read in its place."""

from __future__ import annotations

from functools import partial

from django.conf import settings

from habits.board import Board, BoardKey
from habits.stores.legacy_json import LegacyJsonStore
from habits.stores.legacy_table import LegacyTableStore
from migration_ops.definition import RowStore
from migration_ops.sync.quarantining import accepted_rows


def legacy_store() -> RowStore[BoardKey, Board]:
    """What `LEGACY_BACKEND` says.

    Raises:
        UnusableInput: it says `json`, and no file is named.
    """
    if settings.LEGACY_BACKEND == "json":
        return LegacyJsonStore(settings.LEGACY_JSON_PATH)
    return LegacyTableStore()


def source_store(path: str) -> RowStore[BoardKey, Board]:
    """The file of `backfill --source`; what a person accepted of its rows counts for this path alone."""
    return LegacyJsonStore(path, partial(accepted_rows, "boards", source=path))
