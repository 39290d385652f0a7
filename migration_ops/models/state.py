"""Where each migration stands."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from migration_ops.stages import Stage

VERBS = {
    "advance": "move a migration forward through its gates",
    "canary": "choose the canaries of a migration",
    "hold": "put a migration on hold",
    "resume": "take the hold off a migration",
    "kill": "bring all reads of a migration back to legacy",
    "unkill": "take the kill switch of a migration off",
    "rollback": "move a migration back",
    "override": "override gates of a migration",
    "acknowledge": "acknowledge alerts of a migration",
    "repair": "repair differences of a migration",
    "explain": "explain differences of a migration",
    "accept": "accept that quarantined rows of a migration stay behind",
    "assign": "give quarantined rows of a migration an owner",
    "retry": "have quarantined rows of a migration looked at again",
    "backfill": "start, pause and give up backfills of a migration",
    "validate": "start, pause and give up validations of a migration",
}
"""What people may do to a migration, one permission each."""


class MigrationState(models.Model):
    """One row a migration: the only truth about its stage. Changed by `migration_ops.transitions` alone.

    A database trigger, generated from `TRANSITIONS`, refuses every other move. The same trigger keeps `step` and
    `stepped_at`, which change with the stage, the percentage and the kill switch, whoever changes those; and `named`,
    whether the flag of that name has users or groups, with `named_people` and `people`, which whoever changes these or
    the members of the groups makes it look up again.
    """

    name = models.CharField(_("migration"), max_length=100, primary_key=True)
    stage = models.CharField(
        _("stage"), max_length=20, choices=[(stage.value, stage.value) for stage in Stage], db_default=Stage.OFF.value
    )
    percent = models.DecimalField(_("percent"), max_digits=5, decimal_places=2, db_default=0)
    hold = models.BooleanField(_("hold"), db_default=False)
    kill = models.BooleanField(_("kill"), db_default=False)
    canary_header = models.CharField(_("canary header"), max_length=100, db_default="")
    canary_cookie = models.CharField(_("canary cookie"), max_length=100, db_default="")
    canary_percent = models.DecimalField(_("percent of canaries"), max_digits=5, decimal_places=2, db_default=0)
    named = models.BooleanField(_("canaries by name"), db_default=False)
    named_people = models.BigIntegerField(_("people named as canaries"), db_default=0)
    people = models.BigIntegerField(_("people there were when they were counted"), db_default=0)
    version = models.BigIntegerField(_("version"), db_default=0)
    step = models.BigIntegerField(_("step"), db_default=0)
    stepped_at = models.DateTimeField(_("at this step since"), db_default=Now())
    capture_since = models.DateTimeField(_("capture on since"), null=True)
    capture_lost = models.BigIntegerField(_("captures lost when it was last whole"), db_default=0)
    changed_at = models.DateTimeField(_("changed at"), db_default=Now())

    class Meta:
        verbose_name = _("migration state")
        verbose_name_plural = _("migration states")
        permissions = [(f"{verb}_migration", f"Can {sentence}") for verb, sentence in VERBS.items()]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(stage__in=[stage.value for stage in Stage]), name="migration_state_stage"
            ),
            models.CheckConstraint(
                condition=models.Q(percent__gte=0, percent__lte=100), name="migration_state_percent"
            ),
            models.CheckConstraint(
                condition=models.Q(canary_percent__gte=0, canary_percent__lte=100),
                name="migration_state_canary_percent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.stage}"
