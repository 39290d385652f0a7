"""How large rows of the legacy table are, so that a page of large ones has fewer of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from habits.board import BoardKey
from habits.stores.legacy_rows import MAX_RECORD_BYTES

PAGE_BYTES = 8 * 1024 * 1024
"""A page ends after the row with which it reaches this, and so do the rows of other pages that its boards need."""

_TEXTS = ("h.child_name", "h.week_period", "h.theme", "h.reward")
_JSON = ("h.habits", "h.reflection")

# The length of a text is known without reading it. JSON is as long as it is stored, more or less, unless it is stored
# compressed: that can hide a factor of 250, so only then it is made a text.
_MEASURED = " + ".join(
    [
        *(f"coalesce(octet_length({column}), 0)" for column in _TEXTS),
        *(
            f"CASE WHEN pg_column_compression({column}) IS NULL THEN coalesce(pg_column_size({column}), 0)"
            f" ELSE octet_length({column}::text) END"
            for column in _JSON
        ),
    ]
)

READ_BYTES = f"""
    (SELECT CASE WHEN bytes <= {MAX_RECORD_BYTES} THEN bytes ELSE 0 END FROM (SELECT {_MEASURED}) AS measured (bytes))
"""
"""SQL: how many bytes come over when row `h` of the table is read; of one that is too large next to none do."""


class Head(NamedTuple):
    """What is known of a row without its content.

    Attributes:
        key: of its board; None where that cannot be read.
        bytes: about how many come over when it is read.
    """

    key: BoardKey | None
    bytes: int


def first_within(heads: Mapping[int, Head]) -> dict[int, Head]:
    """The first of these rows, up to the one with which they reach `PAGE_BYTES`."""
    taken: dict[int, Head] = {}
    held = 0
    for number, head in heads.items():
        if held >= PAGE_BYTES:
            break
        taken[number] = head
        held += head.bytes
    return taken


def first_rows(page: Mapping[int, BoardKey | None], elsewhere: Mapping[int, Head]) -> tuple[list[int], set[int]]:
    """The first rows of a page, until their boards need `PAGE_BYTES` of rows that are not on it; one at least.

    Args:
        page: the key of each row, in order.
        elsewhere: all other rows of these keys.

    Returns:
        the rows; and all others that are part of their boards.
    """
    needed = _bytes_of_keys(elsewhere.values())
    rows: list[int] = []
    keys: set[BoardKey] = set()
    held = 0
    for number, key in page.items():
        if held >= PAGE_BYTES:
            break
        rows.append(number)
        if key is not None and key not in keys:
            keys.add(key)
            held += needed.get(key, 0)
    others = {number for number, key in page.items() if key in keys}
    others.update(number for number, head in elsewhere.items() if head.key in keys)
    return rows, others.difference(rows)


def _bytes_of_keys(heads: Iterable[Head]) -> dict[BoardKey, int]:
    found: dict[BoardKey, int] = {}
    for key, size in heads:
        if key is not None:
            found[key] = found.get(key, 0) + size
    return found
