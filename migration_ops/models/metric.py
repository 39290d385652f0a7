"""What happened, counted by the minute and in all."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from migration_ops import moment

BUCKETS = 322
"""As many as `observe.histogram` has; the database refuses any other number, so that none is read by wrong bounds."""


class Metric(models.Model):
    """How often something happened in one minute, and how long it took.

    Rows of several processes are added up: counts, and latency histograms bucket by bucket.

    `name` says what was done, `side` in which store first, `outcome` how it went, `cohort` why in that store, `step` at
    which step of the migration (`MigrationState.step`); `histogram[n]` counts what took between the n-th and the next
    bound of `observe.histogram.BOUNDS`.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    minute = models.DateTimeField(_("minute"))
    name = models.CharField(_("what"), max_length=30)
    side = models.CharField(_("store"), max_length=10, blank=True)
    outcome = models.CharField(_("outcome"), max_length=30, blank=True)
    sqlstate = models.CharField(_("SQLSTATE"), max_length=40, blank=True)
    cohort = models.CharField(_("cohort"), max_length=20, db_default="")
    step = models.BigIntegerField(_("step"), db_default=0)
    count = models.BigIntegerField(_("count"))
    seconds = models.FloatField(_("seconds in all"))
    histogram = ArrayField(models.BigIntegerField(), verbose_name=_("histogram"))

    class Meta:
        verbose_name = _("metric")
        verbose_name_plural = _("metrics")
        constraints = [
            models.UniqueConstraint(
                fields=["migration", "minute", "name", "side", "outcome", "sqlstate", "cohort", "step"],
                name="metric_once_a_minute",
            ),
            models.CheckConstraint(condition=models.Q(histogram__len=BUCKETS), name="metric_histogram_buckets"),
        ]

    def __str__(self) -> str:
        return f"{moment.shown(self.minute)} {self.name} {self.side} {self.outcome}: {self.count}"


class MetricTotal(models.Model):
    """The same in all, since counting began: what the retention of the minutes takes away is still in here.

    Only ever grows, and has a row for each combination of labels, however long it has been counted. The columns are
    those of `Metric`; what happened at which step of the migration is for the minutes to say.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    name = models.CharField(_("what"), max_length=30)
    side = models.CharField(_("store"), max_length=10, blank=True)
    outcome = models.CharField(_("outcome"), max_length=30, blank=True)
    sqlstate = models.CharField(_("SQLSTATE"), max_length=40, blank=True)
    cohort = models.CharField(_("cohort"), max_length=20, blank=True)
    count = models.BigIntegerField(_("count"))
    seconds = models.FloatField(_("seconds in all"))
    histogram = ArrayField(models.BigIntegerField(), verbose_name=_("histogram"))

    class Meta:
        verbose_name = _("metric in all")
        verbose_name_plural = _("metrics in all")
        constraints = [
            models.UniqueConstraint(
                fields=["migration", "name", "side", "outcome", "sqlstate", "cohort"], name="metric_total_once"
            ),
            models.CheckConstraint(condition=models.Q(histogram__len=BUCKETS), name="metric_total_histogram_buckets"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.side} {self.outcome}: {self.count}"
