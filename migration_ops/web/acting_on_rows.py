"""Acts on rows of the engine's own lists: nothing is done but to the rows that were looked at, as they were then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from migration_ops.web.acting import Pressed
from migration_ops.web.acting_on_page import ActingOnPage
from migration_ops.web.row_forms import RowsForm
from migration_ops.web.shapes import listed


@dataclass(frozen=True, slots=True)
class RowsView:
    """The first of the rows that an action is about.

    Attributes:
        heads: of the columns.
        lines: a cell a column.
        more: how many rows there are beyond these.
    """

    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    more: int


class ActingOnRows(ActingOnPage):
    """A button below a list of rows. Its basis is the fingerprint that the service gave them."""

    template = "migration_ops/rows_action.html"
    form_class: ClassVar[type[RowsForm]] = RowsForm

    def home(self, pressed: Pressed) -> str:
        said = pressed.form.data.get("listed", "")
        return listed(pressed.migration, self.page, **({"listed": said} if said else {}))
