"""Legacy rows that wait for a person."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops.definition import AnyMigration


class QuarantineStatus(models.TextChoices):
    """`open` waits for a decision; `accepted` stays behind by somebody's word; `resolved` is no longer rejected."""

    OPEN = "open", _("open")
    ACCEPTED = "accepted", _("accepted")
    RESOLVED = "resolved", _("resolved")


class QuarantineItem(models.Model):
    """One legacy row that cannot be represented, or that is held by one that cannot.

    An acceptance is bound to `fingerprint`: when the row changes, the item opens again.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    source = models.TextField(_("read from"), db_default="", blank=True)
    row = models.TextField(_("row"))
    key = models.TextField(_("key"), null=True)
    code = models.CharField(_("code"), max_length=50)
    message = models.TextField(_("message"))
    held_by = models.TextField(_("held by row"), null=True)
    raw = models.TextField(_("the row as it was"), blank=True)
    fingerprint = models.CharField(_("fingerprint"), max_length=64, blank=True)
    refused = models.BooleanField(_("only the modern database refuses it"), db_default=False)
    status = models.CharField(
        _("status"), max_length=10, choices=QuarantineStatus.choices, default=QuarantineStatus.OPEN
    )
    found_at = models.DateTimeField(_("found at"))
    decided_at = models.DateTimeField(_("decided at"), null=True)
    decided_by = models.CharField(_("decided by"), max_length=200, blank=True)
    reason = models.TextField(_("reason"), blank=True)

    class Meta:
        verbose_name = _("quarantined row")
        verbose_name_plural = _("quarantine")
        constraints = [
            models.UniqueConstraint(fields=["migration", "source", "row"], name="quarantine_row"),
            models.CheckConstraint(condition=models.Q(status__in=QuarantineStatus.values), name="quarantine_status"),
        ]
        indexes = [
            models.Index(fields=["migration", "status", "id"], name="quarantine_by_status"),
            models.Index(fields=["migration", "key"], name="quarantine_refused", condition=models.Q(refused=True)),
        ]

    def __str__(self) -> str:
        return f"{self.row}: {self.code}"

    @classmethod
    def of(cls, migration: AnyMigration) -> models.QuerySet[QuarantineItem]:
        """Rows of the store that this migration reads, and of no other."""
        return cls.objects.filter(migration=migration.name, source=migration.rows_from)
