"""What an action would do, and did, in a sentence and in a table of what changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from migration_ops import conf
from migration_ops.definition import AnyMigration
from migration_ops.rollout import wording as rollout_wording
from migration_ops.rollout.control import Change
from migration_ops.state import State
from migration_ops.web import wording
from migration_ops.web.actions import Action
from migration_ops.web.wording import Text

VOUCHING = "override"


@dataclass(frozen=True, slots=True)
class Changed:
    """One line: what it is, and what it says before and after."""

    label: Text
    before: str
    after: str


def _switch(on: bool) -> str:
    return _("on") if on else _("off")


_SHOWN: tuple[tuple[Text, Callable[[State], str]], ...] = (
    (gettext_lazy("stage"), lambda now: str(wording.STAGES[now.stage])),
    (gettext_lazy("percent"), lambda now: wording.percent(now.percent)),
    (gettext_lazy("hold"), lambda now: _switch(now.hold)),
    (gettext_lazy("kill"), lambda now: _switch(now.kill)),
    (gettext_lazy("percent of canaries"), lambda now: wording.percent(now.canary_percent)),
    (gettext_lazy("canary header"), lambda now: now.canary_header or "–"),
    (gettext_lazy("canary cookie"), lambda now: now.canary_cookie or "–"),
    (gettext_lazy("canaries by name"), lambda now: _("some") if now.named else "–"),
)


def changes(change: Change) -> list[Changed]:
    """What differs between before and after."""
    lines = [Changed(label, say(change.before), say(change.after)) for label, say in _SHOWN]
    named = [Changed(_("canary by name"), "–", name) for name in change.named]
    return [line for line in lines if line.before != line.after] + named


def would(action: Action, change: Change) -> str:
    """What the dry run says; in English the same as that of the command."""
    if action.verb == VOUCHING:
        return _("Would waive the closed gates of the next step for %(time)s, as far as one can vouch for them.") % {
            "time": wording.duration(conf.settings().override_lifetime)
        }
    return wording.translated(rollout_wording.would(change))


def done(migration: AnyMigration, action: Action, change: Change) -> str:
    """What was done."""
    if action.verb == VOUCHING:
        return _("You vouch for the closed gates of the next step of %(migration)s.") % {"migration": migration.name}
    return wording.translated(rollout_wording.done(change))
