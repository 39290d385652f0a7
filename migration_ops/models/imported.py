"""Documents that the modern store has from a file, beside those of the legacy store."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops.definition import AnyMigration


class ImportedDocument(models.Model):
    """A document that is in the modern store only because this file was read in the place of the legacy store.

    What is not in the legacy store would pass for deleted there, so whoever deletes asks here first. As soon as the
    legacy store has a row of the key, the document is that store's and the entry goes.
    """

    pk = models.CompositePrimaryKey("migration", "key")
    migration = models.CharField(_("migration"), max_length=100)
    key = models.TextField(_("key"))
    source = models.TextField(_("read from"))

    class Meta:
        verbose_name = _("imported document")
        verbose_name_plural = _("imported documents")
        indexes = [models.Index(fields=["migration", "source", "key"], name="imported_by_source")]

    def __str__(self) -> str:
        return f"{self.key} from {self.source}"

    @classmethod
    def of(cls, migration: AnyMigration) -> models.QuerySet[ImportedDocument]:
        """Documents from the file that this migration reads; none where it reads the legacy store."""
        return cls.objects.filter(migration=migration.name, source=migration.rows_from)
