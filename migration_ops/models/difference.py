"""What was found unequal, and what documents looked like before they were changed to mend it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops.definition import Side


class DifferenceStatus(models.TextChoices):
    """The life of a difference.

    * suspect: seen once, and looked at again before the run ends
    * new: unequal until the end of the run that found it
    * confirmed: a later run found it again
    * repaired: the engine made both sides equal
    * explained: a person said why it is there; that counts for as long as both sides say what they said then
    * gone: a later look found it equal
    """

    SUSPECT = "suspect", _("suspected")
    NEW = "new", _("newly found")
    CONFIRMED = "confirmed", _("confirmed")
    REPAIRED = "repaired", _("repaired")
    EXPLAINED = "explained", _("explained")
    GONE = "gone", _("no longer there")


UNSETTLED = (DifferenceStatus.NEW, DifferenceStatus.CONFIRMED)
"""It is there, and nobody has repaired or explained it."""

STANDING = (*UNSETTLED, DifferenceStatus.EXPLAINED)
"""It is there."""


class Severity(models.TextChoices):
    """How bad a difference is; see `verify.severity`."""

    LOW = "low", _("low")
    MEDIUM = "medium", _("medium")
    HIGH = "high", _("high")
    CRITICAL = "critical", _("critical")


class Difference(models.Model):
    """A confirmed inequality of one document.

    `kind` is `mismatched`, `missing_in_modern` or `missing_in_legacy`; `fields` lists path, legacy and modern value.
    `run` is the one that saw it last, `found_at` when the first did. `digest` is of what both sides said then.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    run = models.ForeignKey("migration_ops.Run", on_delete=models.CASCADE, related_name="differences")
    key = models.TextField(_("key"))
    kind = models.CharField(_("kind"), max_length=30)
    severity = models.CharField(_("severity"), max_length=10, choices=Severity.choices, db_default="", blank=True)
    fields = models.JSONField(_("fields"), default=list)
    digest = models.CharField(_("digest of both sides"), max_length=64, db_default="", blank=True)
    status = models.CharField(
        _("status"), max_length=10, choices=DifferenceStatus.choices, default=DifferenceStatus.NEW
    )
    found_at = models.DateTimeField(_("found at"))
    seen_at = models.DateTimeField(_("last seen"), null=True)
    closed_at = models.DateTimeField(_("closed at"), null=True)
    explained_at = models.DateTimeField(_("explained at"), null=True)
    explained_by = models.CharField(_("explained by"), max_length=200, db_default="", blank=True)
    explanation = models.TextField(_("explanation"), db_default="", blank=True)

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "key"], name="difference_once_a_run"),
            models.CheckConstraint(condition=models.Q(status__in=DifferenceStatus.values), name="difference_status"),
            models.CheckConstraint(
                condition=~models.Q(status=DifferenceStatus.EXPLAINED)
                | ~models.Q(explanation="") & ~models.Q(explained_by="") & ~models.Q(digest=""),
                name="difference_explained_by_whom_and_why",
            ),
        ]
        indexes = [models.Index(fields=["migration", "status", "key"], name="difference_by_status")]

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
