"""Which long-running processes are alive."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Heartbeat(models.Model):
    """When a process last said that it works, by the database's clock."""

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    role = models.CharField(_("role"), max_length=30)
    process = models.CharField(_("process"), max_length=200)
    at = models.DateTimeField(_("at"), db_default=Now())
    detail = models.JSONField(_("detail"), default=dict)

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")
        constraints = [
            models.UniqueConstraint(fields=["migration", "role", "process"], name="heartbeat_of_a_process"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.process}"
