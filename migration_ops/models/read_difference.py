"""What a shadow read found to differ."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class ReadDifference(models.Model):
    """A document that both stores were asked for and answered differently, also when asked again.

    The fields tell where, and of what kind and length the values are; never what they say.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    key = models.TextField(_("key"))
    step = models.BigIntegerField(_("step"))
    fields = models.JSONField(_("fields"), default=list)
    count = models.BigIntegerField(_("how often"), default=1)
    first_seen = models.DateTimeField(_("first seen"), db_default=Now())
    last_seen = models.DateTimeField(_("last seen"), db_default=Now())

    class Meta:
        verbose_name = _("difference found while reading")
        verbose_name_plural = _("differences found while reading")
        constraints = [
            models.UniqueConstraint(fields=["migration", "key", "step"], name="read_difference_once_a_step"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"
