"""Acts on rows of the engine's own lists: nothing is done but to the rows that were looked at, as they were then."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.http import HttpRequest

from migration_ops.definition import AnyMigration
from migration_ops.web.acting import Acting, Answer, Pressed
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


class ActingOnRows(Acting):
    """A button below a list of rows. Its basis is the fingerprint that the service gave them."""

    template = "migration_ops/rows_action.html"
    form_class: ClassVar[type[RowsForm]] = RowsForm
    page: ClassVar[str]
    """The list's name in addresses."""

    def form(self, migration: AnyMigration, request: HttpRequest) -> RowsForm:
        return self.form_class(request.POST)

    @property
    @abstractmethod
    def page_title(self) -> str:
        """What the list is called."""

    def home(self, pressed: Pressed) -> str:
        said = pressed.form.data.get("listed", "")
        return listed(pressed.migration, self.page, **({"listed": said} if said else {}))

    def more(self, pressed: Pressed, answer: Answer) -> Mapping[str, Any]:
        return {"list_url": listed(pressed.migration, self.page), "list_title": self.page_title}
