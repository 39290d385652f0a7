"""What became of every legacy row."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops.definition import AnyMigration


class Lineage(models.Model):
    """One row of the legacy store: the key of the document it is part of, or the code it is quarantined with.

    The proof that nothing was lost: every legacy row is here, or dirty. Rows of a file that was read in the place of
    the legacy store have ids of their own; `source` keeps them apart.
    """

    pk = models.CompositePrimaryKey("migration", "source", "row")
    migration = models.CharField(_("migration"), max_length=100)
    source = models.TextField(_("read from"), db_default="", blank=True)
    row = models.TextField(_("row"))
    key = models.TextField(_("key"), null=True)
    code = models.CharField(_("quarantine code"), max_length=50, null=True)
    fingerprint = models.CharField(_("fingerprint"), max_length=64, db_default="")

    class Meta:
        verbose_name = _("lineage")
        verbose_name_plural = _("lineage")
        indexes = [models.Index(fields=["migration", "key"], name="lineage_by_key")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(key__isnull=False) | models.Q(code__isnull=False), name="lineage_key_or_code"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.row} → {self.key or self.code}"

    @classmethod
    def of(cls, migration: AnyMigration) -> models.QuerySet[Lineage]:
        """Rows of the store that this migration reads, and of no other."""
        return cls.objects.filter(migration=migration.name, source=migration.rows_from)


class MergeRecord(models.Model):
    """Several legacy rows became one document, and what they disagreed on."""

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    source = models.TextField(_("read from"), db_default="", blank=True)
    key = models.TextField(_("key"))
    rows = models.JSONField(_("rows, the leading one first"))
    conflicts = models.JSONField(_("conflicts"))
    merged_at = models.DateTimeField(_("merged at"))

    class Meta:
        verbose_name = _("merge")
        verbose_name_plural = _("merges")
        constraints = [models.UniqueConstraint(fields=["migration", "source", "key"], name="merge_record_key")]

    def __str__(self) -> str:
        return f"{self.key}: {len(self.rows)}"

    @classmethod
    def of(cls, migration: AnyMigration) -> models.QuerySet[MergeRecord]:
        """Merges of rows of the store that this migration reads, and of no other."""
        return cls.objects.filter(migration=migration.name, source=migration.rows_from)
