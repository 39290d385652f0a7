"""What was found unequal, and what documents looked like before they were changed to mend it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops.definition import Side


class DifferenceStatus(models.TextChoices):
    """`suspect` is looked at again before the validation ends; `open` is confirmed."""

    SUSPECT = "suspect", _("suspected")
    OPEN = "open", _("open")
    REPAIRED = "repaired", _("repaired")
    GONE = "gone", _("no longer there")


class Difference(models.Model):
    """A confirmed inequality of one document.

    `kind` is `mismatched`, `missing_in_modern` or `missing_in_legacy`; `fields` lists path, legacy and modern value.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    run = models.ForeignKey("migration_ops.Run", on_delete=models.CASCADE, related_name="differences")
    key = models.TextField(_("key"))
    kind = models.CharField(_("kind"), max_length=30)
    fields = models.JSONField(_("fields"), default=list)
    status = models.CharField(
        _("status"), max_length=10, choices=DifferenceStatus.choices, default=DifferenceStatus.OPEN
    )
    found_at = models.DateTimeField(_("found at"))
    closed_at = models.DateTimeField(_("closed at"), null=True)

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="difference_once_a_run")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class BeforeImage(models.Model):
    """A document or row as it was before the engine changed or removed it; append-only.

    `cause` says why: `repair`, `conflict`, `archived_row`.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    side = models.CharField(_("side"), max_length=10, choices=[(side.value, side.value) for side in Side])
    key = models.TextField(_("key"))
    row = models.TextField(_("row"), null=True)
    image = models.JSONField(_("as it was"), null=True)
    cause = models.CharField(_("cause"), max_length=30)
    actor = models.CharField(_("who"), max_length=200, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("before-image")
        verbose_name_plural = _("before-images")
        indexes = [models.Index(fields=["migration", "key"], name="before_image_by_key")]

    def __str__(self) -> str:
        return f"{self.side} {self.key}"
