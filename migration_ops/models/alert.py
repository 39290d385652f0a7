"""What somebody has to know, and the messages by which they hear of it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class AlertStatus(models.TextChoices):
    """`suspected` has not lasted long enough for anybody to hear of it, and is forgotten when it passes."""

    SUSPECTED = "suspected", _("suspected")
    OPEN = "open", _("unacknowledged")
    ACKNOWLEDGED = "acknowledged", _("acknowledged")
    RESOLVED = "resolved", _("resolved")


class Alert(models.Model):
    """One problem of one migration, from when it was seen until it is gone.

    There is at most one that is not resolved for a problem and its subject, however often it is found. `figures` are
    those of the last look.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    problem = models.CharField(_("problem"), max_length=30)
    subject = models.CharField(_("about"), max_length=50, blank=True)
    severity = models.CharField(_("severity"), max_length=10)
    figures = models.JSONField(_("figures"), default=dict)
    status = models.CharField(_("status"), max_length=15, choices=AlertStatus.choices)
    since = models.DateTimeField(_("since"), db_default=Now())
    seen_at = models.DateTimeField(_("last seen"), db_default=Now())
    repeats = models.IntegerField(_("repeated"), db_default=0)
    repeat_at = models.DateTimeField(_("repeated next"), null=True)
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=200, db_default="")
    reason = models.TextField(_("why"), db_default="")
    resolved_at = models.DateTimeField(_("resolved at"), null=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        indexes = [models.Index(fields=["resolved_at"], name="alert_by_age")]
        constraints = [
            models.UniqueConstraint(
                fields=["migration", "problem", "subject"],
                condition=~models.Q(status="resolved"),
                name="alert_once_a_problem",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.migration} {self.problem} {self.subject}".strip()


class AlertMessage(models.Model):
    """The outbox: one message for one channel, written in the commit of the alert that it is about.

    Whoever sends it claims it first, for a while and in a commit of its own. If the sender dies between sending and
    writing that down, the claim ends and another one sends it again: at least once.
    """

    id = models.BigAutoField(primary_key=True)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="messages", verbose_name=_("alert"))
    channel = models.CharField(_("channel"), max_length=10)
    event = models.CharField(_("event"), max_length=10)
    payload = models.JSONField(_("content"))
    created_at = models.DateTimeField(_("written"), db_default=Now())
    not_before = models.DateTimeField(_("next attempt"), db_default=Now())
    attempts = models.IntegerField(_("attempts"), db_default=0)
    claimed_until = models.DateTimeField(_("claimed until"), null=True)
    claim = models.UUIDField(_("claim"), null=True)
    error = models.CharField(_("error"), max_length=100, db_default="")
    sent_at = models.DateTimeField(_("sent"), null=True)
    given_up_at = models.DateTimeField(_("given up"), null=True)

    class Meta:
        verbose_name = _("message of an alert")
        verbose_name_plural = _("messages of alerts")
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(sent_at=None, given_up_at=None), name="alert_message_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.event} {self.alert_id}"
