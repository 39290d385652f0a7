"""What the scheduler does again and again."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Periodic(models.Model):
    """When something declared in `migration_ops.schedule` is due next, by the database's clock.

    A scheduler takes what is due by moving `due_at` on in one conditional UPDATE, so that of several one does it.
    """

    name = models.CharField(_("name"), max_length=100, primary_key=True)
    due_at = models.DateTimeField(_("due"), db_default=Now())
    taken_at = models.DateTimeField(_("last taken"), null=True)
    taken_by = models.CharField(_("by"), max_length=200, blank=True)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        verbose_name = _("periodic work")
        verbose_name_plural = _("periodic work")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
