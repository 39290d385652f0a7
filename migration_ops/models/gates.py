"""What the gates said, and who waived them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from migration_ops import moment


class GateReading(models.Model):
    """One gate as the evaluator found it once; kept for `metrics_retention`."""

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    step = models.BigIntegerField(_("step"))
    gate = models.CharField(_("gate"), max_length=50)
    verdict = models.CharField(_("verdict"), max_length=15)
    clear = models.BooleanField(_("clear failure"), default=False)
    evidence = models.JSONField(_("evidence"), default=dict)
    at = models.DateTimeField(_("at"), db_default=Now())

    class Meta:
        verbose_name = _("reading of a gate")
        verbose_name_plural = _("readings of gates")
        indexes = [
            models.Index(fields=["migration", "gate", "-at"], name="gate_reading_latest"),
            models.Index(fields=["at"], name="gate_reading_by_age"),
        ]

    def __str__(self) -> str:
        return f"{moment.shown(self.at)} {self.gate}: {self.verdict}"


class GateOverride(models.Model):
    """Somebody vouches for gates that do not pass: at one step of the migration, and not for long."""

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    step = models.BigIntegerField(_("step"))
    gates = ArrayField(models.CharField(max_length=50), verbose_name=_("gates"))
    actor = models.CharField(_("who"), max_length=200)
    reason = models.TextField(_("why"))
    at = models.DateTimeField(_("at"), db_default=Now())
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        verbose_name = _("override of gates")
        verbose_name_plural = _("overrides of gates")
        constraints = [
            models.CheckConstraint(condition=~models.Q(reason=""), name="gate_override_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {', '.join(self.gates)}"
