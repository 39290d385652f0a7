"""The button that has drift looked for now."""

from __future__ import annotations

from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from migration_ops.verify import look_now
from migration_ops.verify.look_now import Prospect
from migration_ops.web import wording
from migration_ops.web.acting import Answer, Pressed
from migration_ops.web.acting_on_page import ActingOnPage


class _LookingForDrift(ActingOnPage):
    verb, codename, tone = "drift-look", "migration_ops.validate_migration", "calm"
    label: Promise = gettext_lazy("Look for drift now")
    explanation: Promise = gettext_lazy(
        "What is done every hour is done now, in every migration: a worker compares what was touched since the last"
        " time, and a random sample."
    )
    page: ClassVar[str] = "differences"

    @property
    def page_title(self) -> str:
        return _("Differences")

    def look(self, pressed: Pressed) -> Answer:
        found = look_now.prospect(pressed.migration)
        sentence = _("Would have a worker look for drift as soon as a scheduler comes by.")
        if found.waits:
            sentence = _("Nothing to do: it is due, and is done as soon as a scheduler comes by.")
        return Answer(sentence=sentence, basis=found.seen, possible=not found.waits, notes=_notes(found))

    def act(self, pressed: Pressed, basis: str) -> Answer:
        found = look_now.ask(pressed.migration, seen=basis, **pressed.said)
        return Answer(sentence=_("A worker looks for drift as soon as a scheduler comes by."), notes=_notes(found))


def _notes(found: Prospect) -> list[str]:
    return [wording.translated(found.problem)] if found.problem else []


LOOK_FOR_DRIFT = _LookingForDrift()
