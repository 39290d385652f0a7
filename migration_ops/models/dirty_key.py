"""What may be out of step."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops.definition import Side


class DirtyKey(models.Model):
    """One notice "look again": something of this row or key changed on this side, and the other may be behind.

    The only retry queue, outbox and trigger log. Rows are only ever inserted and deleted, never updated by writers, so
    that a capture trigger never waits for the applier. Several notices may speak of one key; applying is idempotent.
    Exactly one of `row` (legacy row id) and `key` is set; `row` becomes keys through lineage and content.

    Whoever writes past the app waits for every index and check, so there is no check, and one index beside the primary
    key: it finds rows, and keys for a query that also says `row IS NULL`.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    side = models.CharField(_("changed side"), max_length=10, choices=[(side.value, side.value) for side in Side])
    row = models.TextField(_("row"), null=True)
    key = models.TextField(_("key"), null=True)
    created_at = models.DateTimeField(_("since"))
    not_before = models.DateTimeField(_("next attempt"), null=True)
    attempts = models.IntegerField(_("attempts"), db_default=0)
    sqlstate = models.CharField(_("SQLSTATE"), max_length=5, db_default="")
    error = models.TextField(_("error"), db_default="")

    class Meta:
        verbose_name = _("dirty key")
        verbose_name_plural = _("dirty keys")
        indexes = [
            models.Index(fields=["migration", "row", "key"], name="dirty_key_by_row_or_key"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.key or self.row}"
