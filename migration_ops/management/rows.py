"""Rows under headings for people at a terminal: a table where it fits, and otherwise each row as lines of its own."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

PROSE = 28
"""So many characters in a line are enough for a cell that may be wrapped."""

_BORDERS = 3
"""What a column takes beside its text: a line and two spaces."""


class Rows:
    """Nothing is cut off, however narrow the terminal is.

    Args:
        heads: what stands over the columns.
        title: what stands over all of it.
        prose: columns whose cells may be wrapped.
        numbers: columns that are set to the right.
    """

    def __init__(
        self, *heads: str, title: str = "", prose: Collection[str] = (), numbers: Collection[str] = ()
    ) -> None:
        self._heads = heads
        self._title = title
        self._prose = frozenset(prose)
        self._numbers = frozenset(numbers)
        self._lines: list[tuple[Text, ...]] = []

    def add(self, *cells: str | Text) -> None:
        """One row. A string stands there as it is: nothing in it is markup."""
        self._lines.append(tuple(cell if isinstance(cell, Text) else Text(cell) for cell in cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._least_width() <= options.max_width:
            yield self._table()
        else:
            yield from self._stacked()

    def _least_width(self) -> int:
        return 1 + sum(_BORDERS + self._least(number, head) for number, head in enumerate(self._heads))

    def _least(self, number: int, head: str) -> int:
        widest = max([Text(head).cell_len, *(_widest(line[number]) for line in self._lines)])
        return min(widest, PROSE) if head in self._prose else widest

    def _table(self) -> Table:
        table = Table(title=self._title or None, title_justify="left")
        for head in self._heads:
            table.add_column(
                head,
                justify="right" if head in self._numbers else "left",
                no_wrap=head not in self._prose,
                overflow="fold",
            )
        for line in self._lines:
            table.add_row(*line)
        return table

    def _stacked(self) -> RenderResult:
        if self._title:
            yield Text(self._title, style="italic")
        names = max(Text(head).cell_len for head in self._heads)
        for line in self._lines:
            block = Table.grid(padding=(0, 2, 0, 0))
            block.add_column(style="dim", no_wrap=True, min_width=names)
            block.add_column(overflow="fold")
            for head, cell in zip(self._heads, line, strict=True):
                if cell.plain:
                    block.add_row(head, cell)
            yield block
            yield ""


def _widest(cell: Text) -> int:
    return max((line.cell_len for line in cell.split()), default=0)
