"""How far a store without capture triggers was compared."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class PolledVersion(models.Model):
    """The version of a migration's legacy store up to which its changes are on the dirty list."""

    migration = models.CharField(_("migration"), max_length=100, primary_key=True)
    version = models.TextField(_("version"))

    class Meta:
        verbose_name = _("polled version")
        verbose_name_plural = _("polled versions")

    def __str__(self) -> str:
        return f"{self.migration}: {self.version}"
