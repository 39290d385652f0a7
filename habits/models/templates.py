"""Boards to begin a week with."""

from __future__ import annotations

from django.db import models
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from habits.models.base import JsonType, ModernModel, length_between
from habits.models.boards import HABIT_NAME_LENGTH, Child
from habits.models.users import User


class HabitTemplate(ModernModel):
    """Habits to begin a week with, for one child or, without a child, shared by all of a family.

    At most one default for each child, and one that is shared. Two partial unique keys say so, because
    `NULLS NOT DISTINCT` exists only from PostgreSQL 15 on.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    child = models.ForeignKey(
        Child,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="templates",
        verbose_name=_("child"),
    )
    name = models.TextField(_("name"))
    description = models.TextField(_("description"), null=True, blank=True, db_default="")
    habits = models.JSONField(_("habits"), db_default=[])
    is_default = models.BooleanField(_("default"), default=False, db_default=False)

    class Meta:
        db_table = "habit_templates"
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "child"],
                condition=models.Q(is_default=True, child__isnull=False),
                name="habit_templates_default_of_child_key",
            ),
            models.UniqueConstraint(
                fields=["user"],
                condition=models.Q(is_default=True, child__isnull=True),
                name="habit_templates_default_shared_key",
            ),
            models.CheckConstraint(
                condition=length_between("name", 1, HABIT_NAME_LENGTH), name="habit_templates_name_length"
            ),
            models.CheckConstraint(
                condition=Exact(JsonType("habits"), "array"), name="habit_templates_habits_is_array"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "child"], name="habit_templates_by_user"),
            models.Index(fields=["child"], name="habit_templates_by_child", condition=models.Q(child__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name
