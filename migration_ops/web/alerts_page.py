"""The alerts of one migration: open ones first, who knows of them, and what of their messages has not arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from migration_ops.alerts import acknowledging
from migration_ops.alerts.listing import Item, item
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import Alert, AlertMessage, AlertStatus
from migration_ops.sentence import said
from migration_ops.web import wording
from migration_ops.web.acting import Answer, Pressed
from migration_ops.web.acting_on_rows import ActingOnRows, RowsView

MOST = 100
"""Alerts of each status that are shown, the newest; the admin's own list has them all."""


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message of the outbox: by which channel, what about, and what became of it."""

    channel: str
    event: str
    state: str
    tone: str
    error: str


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert as the page shows it."""

    alert: Alert
    sentence: str
    status: str
    tone: str
    messages: Sequence[MessageView]
    can_acknowledge: bool


class _Acknowledging(ActingOnRows):
    verb, codename, tone = "alert-acknowledge", "migration_ops.acknowledge_migration", "forward"
    label: Promise = gettext_lazy("Acknowledge")
    explanation: Promise = gettext_lazy(
        "You say by name that you know of it. It is not repeated any more, and resolves by itself as before."
    )
    page: ClassVar[str] = "alerts"

    @property
    def page_title(self) -> str:
        return _("Alerts")

    def look(self, pressed: Pressed) -> Answer:
        found = self._acknowledged(pressed, dry_run=True)
        seen = item(found.alert)
        since = date_format(localtime(seen.since), "Y-m-d H:i")
        sentence = _("Would acknowledge this alert.")
        if not found.changed:
            sentence = _("Nothing to do: %(who)s acknowledged it.") % {"who": seen.acknowledged_by}
        return Answer(
            sentence=sentence,
            shown=RowsView((_("Since"), _("What")), ((since, _sentence(seen)),), 0),
            basis=f"{seen.id} {seen.status}",
            possible=found.changed,
        )

    def act(self, pressed: Pressed, basis: str) -> Answer:
        found = self._acknowledged(pressed, dry_run=False)
        if not found.changed:
            who = {"who": found.alert.acknowledged_by}
            return Answer(sentence=_("Nothing to do: %(who)s acknowledged it.") % who)
        return Answer(sentence=_("Acknowledged, by your name."))

    def _acknowledged(self, pressed: Pressed, *, dry_run: bool) -> acknowledging.Acknowledged:
        items = pressed.form.values["items"]
        if len(items) != 1:
            raise UnusableInput(said("Acknowledge one alert at a time."))
        return acknowledging.acknowledge(pressed.migration, items[0], dry_run=dry_run, **pressed.said)


ACKNOWLEDGE = _Acknowledging()


def shown(request: HttpRequest, migration: AnyMigration) -> dict[str, Any]:
    """What the template needs."""
    may = bool(request.user.has_perm(ACKNOWLEDGE.codename))
    groups = []
    for status in (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED, AlertStatus.RESOLVED):
        alerts = Alert.objects.filter(migration=migration.name, status=status).order_by("-id")
        found = list(alerts.prefetch_related("messages")[:MOST])
        groups.append((status.value, str(status.label), [_view(alert, may=may) for alert in found]))
    return {
        "migration": migration,
        "title": _("Alerts: %(label)s") % {"label": migration.label},
        "groups": groups,
        "acknowledge": ACKNOWLEDGE,
        "address": reverse(f"admin:{ACKNOWLEDGE.url_name}", args=[migration.name]),
    }


_TONES = {AlertStatus.OPEN: "bad", AlertStatus.ACKNOWLEDGED: "unsure", AlertStatus.RESOLVED: "good"}


def _view(alert: Alert, *, may: bool) -> AlertView:
    status = AlertStatus(alert.status)
    return AlertView(
        alert=alert,
        sentence=_sentence(item(alert)),
        status=str(status.label),
        tone=_TONES[status],
        messages=[_message(each) for each in sorted(alert.messages.all(), key=lambda each: each.pk)],
        can_acknowledge=may and status is AlertStatus.OPEN,
    )


def _sentence(seen: Item) -> str:
    return wording.translated(seen.message)


def _message(message: AlertMessage) -> MessageView:
    state, tone = _("waits"), "unsure"
    if message.sent_at is not None:
        state, tone = _("was sent"), "good"
    elif message.given_up_at is not None:
        state, tone = _("was given up"), "bad"
    elif message.attempts:
        state, tone = _("not arrived yet"), "bad"
    return MessageView(message.channel, message.event, state, tone, message.error if tone == "bad" else "")
