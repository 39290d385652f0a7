"""What happened to a migration, append-only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops import moment


class HistoryEntry(models.Model):
    """One event. A trigger `ENABLE ALWAYS` fills in `previous_hash` and `hash`; it refuses update, delete, truncate."""

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    at = models.DateTimeField(_("at"))
    actor = models.CharField(_("who"), max_length=200)
    verb = models.CharField(_("what"), max_length=50)
    from_stage = models.CharField(_("from"), max_length=20, blank=True)
    to_stage = models.CharField(_("to"), max_length=20, blank=True)
    reason = models.TextField(_("why"), blank=True)
    evidence = models.JSONField(_("evidence"), default=dict)
    previous_hash = models.CharField(max_length=64, blank=True, editable=False)
    hash = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        verbose_name = _("history entry")
        verbose_name_plural = _("history")
        ordering = ["id"]
        indexes = [models.Index(fields=["migration", "id"], name="history_by_migration")]

    def __str__(self) -> str:
        return f"{moment.shown(self.at)} {self.migration} {self.verb}"


class HistoryHead(models.Model):
    """The end of the hash chain, in one row kept by the history's trigger: how a deletion at the end is noticed."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    entries = models.BigIntegerField(db_default=0)
    hash = models.CharField(max_length=64, db_default="")

    class Meta:
        verbose_name = _("end of the history")
        verbose_name_plural = _("ends of the history")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="history_head_is_one_row")]

    def __str__(self) -> str:
        return f"{self.entries} {self.hash[:12]}"
