"""One backfill, validation, drift run or dry run of a backfill."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RunKind(models.TextChoices):
    BACKFILL = "backfill", _("backfill")
    VALIDATION = "validation", _("validation")
    DRIFT = "drift", _("drift run")
    REHEARSAL = "rehearsal", _("dry run")


class RunStatus(models.TextChoices):
    """A run whose process was killed stays `running` with a lease nobody renews; whoever comes next takes it over."""

    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


UNFINISHED = (RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.FAILED)
"""Statuses from which a run goes on where it stopped."""


class Run(models.Model):
    """One backfill, validation or drift run: what was asked, how far it got, and what came of it.

    `requested` is how another terminal speaks to a running one: `pause` or `cancel`, obeyed between batches. What it
    counted is in its ranges.

    A run that is `queued` is worked on by whatever workers of the queue come, slice by slice. While it is `running` and
    nobody holds a lease it waits for one of them. The queue holds nothing but wake-ups, numbered by `woken`.
    """

    id = models.BigAutoField(primary_key=True)
    migration = models.CharField(_("migration"), max_length=100)
    kind = models.CharField(_("kind"), max_length=20, choices=RunKind.choices)
    status = models.CharField(_("status"), max_length=20, choices=RunStatus.choices, default=RunStatus.RUNNING)
    requested = models.CharField(_("requested"), max_length=10, blank=True)
    options = models.JSONField(_("options"), default=dict)
    actor = models.CharField(_("who"), max_length=200, blank=True)
    started_at = models.DateTimeField(_("started"))
    ended_at = models.DateTimeField(_("ended"), null=True)
    worked_seconds = models.FloatField(_("seconds worked"), default=0.0)
    total = models.BigIntegerField(_("rows expected"), null=True)
    hold_reason = models.TextField(_("holding back because"), blank=True)
    error = models.TextField(_("error"), blank=True)
    result = models.JSONField(_("result"), default=dict)
    queued = models.BooleanField(_("in the background"), default=False, db_default=False)
    woken = models.BigIntegerField(_("wake-ups"), default=0, db_default=0)
    attempts = models.IntegerField(_("slices that died in a row"), default=0, db_default=0)
    attempts_at = models.BigIntegerField(_("rows read when they began"), default=0, db_default=0)
    beat_at = models.DateTimeField(_("last worked on"), null=True)

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["migration", "kind"],
                condition=models.Q(status__in=["running", "paused", "failed"]),
                name="run_one_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class RunRange(models.Model):
    """A disjoint piece of a run's work, with its own cursor, counters, lease and fencing token.

    Whoever works on it holds the lease; every commit checks and renews it with the token, so that a worker that was
    paused beyond its lease commits nothing.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="ranges")
    number = models.IntegerField(_("number"))
    side = models.CharField(_("side"), max_length=10)
    after = models.JSONField(_("after"), null=True)
    until = models.JSONField(_("until"), null=True)
    cursor = models.JSONField(_("cursor"), null=True)
    done = models.BooleanField(_("done"), default=False)
    counters = models.JSONField(_("counters"), default=dict)
    batch_size = models.IntegerField(_("batch size"), null=True)
    token = models.BigIntegerField(_("fencing token"), default=0)
    lease_owner = models.CharField(_("leased by"), max_length=200, blank=True)
    lease_backend = models.IntegerField(_("server process of the holder"), null=True)
    lease_backend_start = models.DateTimeField(_("start of that server process"), null=True)
    lease_until = models.DateTimeField(_("leased until"), null=True)

    class Meta:
        verbose_name = _("range of a run")
        verbose_name_plural = _("ranges of runs")
        ordering = ["run", "number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="run_range_number")]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.number}"
