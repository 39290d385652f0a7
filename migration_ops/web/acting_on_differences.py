"""Acts on differences: which ones a button is about, and no more of them than one request can read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, cast

from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import DifferenceStatus
from migration_ops.sentence import said
from migration_ops.verify import difference_listing
from migration_ops.verify.difference_listing import Filter
from migration_ops.web.acting import Pressed
from migration_ops.web.acting_on_rows import ActingOnRows
from migration_ops.web.shapes import grouped

AT_ONCE = 100
"""Differences that one request does something about at most; each is read in both stores."""

SHOWN = 50
"""Differences that the page before a decision names; the others are counted."""

_NUMBER = re.compile(r"[0-9]{1,18}")


class OnDifferences(ActingOnRows):
    """A button below the list, or beside one that somebody looks at."""

    page = "differences"
    statuses: ClassVar[tuple[DifferenceStatus, ...]]
    """Of differences that it makes sense for."""

    @property
    def page_title(self) -> str:
        return _("Differences")

    def home(self, pressed: Pressed) -> str:
        """The list, or the one that somebody looked at."""
        items = cast(QueryDict, pressed.form.data).getlist("items")
        if pressed.form.data.get("listed") or len(items) != 1 or not _NUMBER.fullmatch(items[0]):
            return super().home(pressed)
        return reverse("admin:migration_ops_dashboard_difference", args=[pressed.migration.name, int(items[0])])


def ids_of(pressed: Pressed) -> list[int]:
    """Those that were ticked, or the first `AT_ONCE` of the list.

    Raises:
        UnusableInput: there are too many, or none.
    """
    values = pressed.form.values
    if values["whole"]:
        found = difference_listing.first(pressed.migration, Filter.read(values["listed"]), AT_ONCE)
        if not found:
            raise UnusableInput(said("There is none left in this list."))
        return found
    ids = list(values["items"])
    if len(ids) > AT_ONCE:
        raise UnusableInput(said("Choose at most %(most)s at a time.", most=str(AT_ONCE)))
    return ids


def beyond(pressed: Pressed, ids: Sequence[int]) -> list[str]:
    """What is said where the list has more than one request does."""
    values = pressed.form.values
    there = difference_listing.count(pressed.migration, Filter.read(values["listed"])) if values["whole"] else 0
    if there <= len(ids):
        return []
    return [
        _(
            "These are the first %(n)s of %(all)s, the worst first. For the others press again, or narrow the list;"
            " `manage.py validate_migration --repair` repairs everything at once."
        )
        % {"n": grouped(len(ids)), "all": grouped(there)}
    ]


def name_of(migration: AnyMigration, key: str) -> str:
    """The document of this encoded key, in words."""
    return migration.key_in_words(migration.decode_key(key))
