"""What a drift run has to compare, and up to which transaction everything was compared before."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops import moment


class ComparedUpTo(models.Model):
    """Whatever a transaction before `seen` wrote to either store was compared.

    `written` is the transaction that wrote this row. PostgreSQL says the same of the row itself (`xmin`), unless the
    database was restored from a dump: then all its rows have new transactions, and `seen` means nothing.
    """

    migration = models.CharField(_("migration"), max_length=100, primary_key=True)
    seen = models.BigIntegerField(_("transaction"))
    written = models.BigIntegerField(_("written by transaction"))
    lost = models.BigIntegerField(_("captures lost until then"))
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("moment up to which everything was compared")
        verbose_name_plural = _("moments up to which everything was compared")

    def __str__(self) -> str:
        return f"{self.migration}: {moment.shown(self.at)}"


class TouchedKey(models.Model):
    """A document that a drift run has to compare; they go when the run ends. In the order of their bytes."""

    pk = models.CompositePrimaryKey("run", "key")
    run = models.ForeignKey("migration_ops.Run", on_delete=models.CASCADE, related_name="touched")
    key = models.TextField(_("key"), db_collation="C")

    class Meta:
        verbose_name = _("touched document")
        verbose_name_plural = _("touched documents")

    def __str__(self) -> str:
        return self.key
