"""Where each migration stands."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from migration_ops.stages import Stage


class MigrationState(models.Model):
    """One row a migration: the only truth about its stage. Changed by `migration_ops.transitions` alone.

    A database trigger, generated from `TRANSITIONS`, refuses every other move.
    """

    name = models.CharField(_("migration"), max_length=100, primary_key=True)
    stage = models.CharField(
        _("stage"), max_length=20, choices=[(stage.value, stage.value) for stage in Stage], db_default=Stage.OFF.value
    )
    percent = models.DecimalField(_("percent"), max_digits=5, decimal_places=2, db_default=0)
    hold = models.BooleanField(_("hold"), db_default=False)
    kill = models.BooleanField(_("kill"), db_default=False)
    version = models.BigIntegerField(_("version"), db_default=0)
    capture_since = models.DateTimeField(_("capture on since"), null=True)
    capture_lost = models.BigIntegerField(_("captures lost when it was last whole"), db_default=0)
    changed_at = models.DateTimeField(_("changed at"), db_default=Now())

    class Meta:
        verbose_name = _("migration state")
        verbose_name_plural = _("migration states")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(stage__in=[stage.value for stage in Stage]), name="migration_state_stage"
            ),
            models.CheckConstraint(
                condition=models.Q(percent__gte=0, percent__lte=100), name="migration_state_percent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.stage}"
