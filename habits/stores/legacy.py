"""The legacy store of this installation: its table, or its JSON file."""

from __future__ import annotations

from django.conf import settings

from habits.board import Board, BoardKey
from habits.stores.legacy_json import LegacyJsonStore
from habits.stores.legacy_table import LegacyTableStore
from migration_ops.definition import RowStore


def legacy_store() -> RowStore[BoardKey, Board]:
    """What `LEGACY_BACKEND` says.

    Raises:
        UnusableInput: it says `json`, and no file is named.
    """
    if settings.LEGACY_BACKEND == "json":
        return LegacyJsonStore(settings.LEGACY_JSON_PATH)
    return LegacyTableStore()
