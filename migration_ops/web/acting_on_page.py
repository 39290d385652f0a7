"""Acts on one of the migration's own pages, from which one comes and to which one goes back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpRequest

from migration_ops.definition import AnyMigration
from migration_ops.web.acting import Acting, Answer, Pressed
from migration_ops.web.forms import ReasonForm
from migration_ops.web.shapes import listed


class ActingOnPage(Acting):
    """A button of such a page."""

    template = "migration_ops/page_action.html"
    form_class: ClassVar[type[ReasonForm]] = ReasonForm
    page: ClassVar[str]
    """The page's name in addresses."""

    @property
    @abstractmethod
    def page_title(self) -> str:
        """What the page is called."""

    def form(self, migration: AnyMigration, request: HttpRequest) -> ReasonForm:
        return self.form_class(request.POST)

    def home(self, pressed: Pressed) -> str:
        return listed(pressed.migration, self.page)

    def more(self, pressed: Pressed, answer: Answer) -> Mapping[str, Any]:
        return {"page_url": listed(pressed.migration, self.page), "page_title": self.page_title}
