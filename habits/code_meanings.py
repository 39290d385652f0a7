"""What the quarantine codes mean to the person who decides, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext_noop as _

from migration_ops.definition import CodeMeaning

_MEND = _("Mend the row in legacy if the right value is known. Otherwise accept that the row stays behind.")

MEANINGS: Final[Mapping[str, CodeMeaning]] = {
    "record_too_large": CodeMeaning(
        _("The row has more than 1 MiB, or is nested in more than 32 levels."),
        _("Look at what blew it up. Cut it down in legacy, or accept that the row stays behind."),
    ),
    "duplicate_key": CodeMeaning(
        _("The row names one JSON key twice, has no usable id, or is of a file whose board another store has as well."),
        _MEND,
    ),
    "text_invalid": CodeMeaning(
        _("The row has text that PostgreSQL cannot store, or something else where text belongs."), _MEND
    ),
    "owner_missing": CodeMeaning(
        _("The row has no owner: an old client wrote it without one."),
        _("Find out whose it is and give it that owner. If nobody can tell, accept that the row stays behind."),
        lacks_unit=True,
    ),
    "owner_unknown": CodeMeaning(
        _("The row has an owner without an account."),
        _("Create the account with `manage.py import_owners`, and have the row looked at again."),
    ),
    "child_name_invalid": CodeMeaning(_("The child's name is blank, too long or no text."), _MEND),
    "week_unreadable": CodeMeaning(_("The row has no date that can be read, or none from 2000 to 2100."), _MEND),
    "habits_malformed": CodeMeaning(_("The habits are no list of habits."), _MEND),
    "habit_name_invalid": CodeMeaning(_("A habit has no name, a blank one, or one that is too long."), _MEND),
    "times_malformed": CodeMeaning(_("The marks of a habit are no list."), _MEND),
    "times_too_long": CodeMeaning(
        _("A habit has a mark beyond the seventh day."),
        _("Ask which week the mark belongs to and mend the row in legacy, or accept that the row stays behind."),
    ),
    "status_unknown": CodeMeaning(
        _("A mark is neither green, yellow, red nor blank."),
        _("Ask what was meant and mend the mark in legacy, or accept that the row stays behind."),
    ),
    "reflection_malformed": CodeMeaning(_("The reflection is no object of answers, or an answer is no text."), _MEND),
}
