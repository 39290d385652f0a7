"""Rows for people at a terminal: none of them loses anything, however narrow it is."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from migration_ops.management.presentation import some
from migration_ops.management.rows import Rows

HEADS = ("when", "who", "why")
WORDS = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "Nd", "P"]), max_size=60), min_size=3, max_size=3
)


def printed(rows: Rows, width: int) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(rows)
    return buffer.getvalue()


def of(*lines: list[str]) -> Rows:
    rows = Rows(*HEADS, title="History", prose=("why",))
    for line in lines:
        rows.add(*line)
    return rows


def letters(text: str) -> str:
    return "".join(sorted(re.sub(r"[\s│┃━─┏┓┡┩┗┛└┘┳╇┴╈┼]", "", text)))


@given(lines=st.lists(WORDS, min_size=1, max_size=3), width=st.integers(24, 200))
def test_whatever_the_width_every_character_is_there_and_no_line_is_wider(lines: list[list[str]], width: int) -> None:
    shown = printed(of(*lines), width)
    said = letters("History" + "".join(cell for line in lines for cell in line))
    for character in set(said):
        assert shown.count(character) >= said.count(character), character
    assert "…" not in shown or any("…" in cell for line in lines for cell in line)
    assert max(Console().measure(line).maximum for line in shown.splitlines() or [""]) <= width


def test_it_is_a_table_where_it_fits_and_blocks_where_it_does_not() -> None:
    line = ["2025-07-21 08:59:58 KST", "ann", "a reason that is longer than a column of prose has to be, and wraps"]
    wide, narrow = printed(of(line), 80), printed(of(line), 40)
    assert "│ ann │" in wide
    assert narrow.startswith("History\nwhen  2025-07-21 08:59:58 KST")
    assert "who   ann" in narrow


def test_a_cell_stands_there_as_it_is() -> None:
    assert "│ [red]\\[ │ [/] │ \\   │" in printed(of(["[red]\\[", "[/]", "\\"]), 80)


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 families"), (1, "1 family"), (2, "2 families"), (1_200, "1,200 families")]
)
def test_one_is_not_many(count: int, words: str) -> None:
    assert some(count, "family", "families") == words
    assert some(1, "row") == "1 row"
    assert some(2, "row") == "2 rows"
