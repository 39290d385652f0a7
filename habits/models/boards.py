"""Children, their weeks, the habits of a week, and a mark for every habit and day."""

from __future__ import annotations

from django.db import models
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from habits.board import FIRST_MONDAY, LAST_MONDAY
from habits.models.base import JsonType, ModernModel, length_between
from habits.models.users import User

CHILD_NAME_LENGTH = 100
HABIT_NAME_LENGTH = 200


class Child(ModernModel):
    """A child of one family; another family may have one of the same name."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="children"
    )
    name = models.TextField(_("name"))
    avatar_url = models.TextField(_("picture"), null=True, blank=True)
    birth_date = models.DateField(_("date of birth"), null=True, blank=True)

    class Meta:
        db_table = "children"
        verbose_name = _("child")
        verbose_name_plural = _("children")
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="children_user_name_key"),
            models.CheckConstraint(condition=length_between("name", 1, CHILD_NAME_LENGTH), name="children_name_length"),
        ]

    def __str__(self) -> str:
        return self.name


class Week(ModernModel):
    """One week of one child. `user` is the child's, repeated here for row security and for deletion by family."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    child = models.ForeignKey(
        Child, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="weeks"
    )
    week_start_date = models.DateField(_("Monday"))
    week_end_date = models.DateField(_("Sunday"))
    theme = models.TextField(_("theme"), null=True, blank=True, db_default="")
    reflection = models.JSONField(_("reflection"), null=True, blank=True, db_default={})
    reward = models.TextField(_("reward"), null=True, blank=True, db_default="")
    template = models.ForeignKey(
        "habits.HabitTemplate",
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("template"),
    )

    class Meta:
        db_table = "weeks"
        verbose_name = _("week")
        verbose_name_plural = _("weeks")
        constraints = [
            models.UniqueConstraint(fields=["child", "week_start_date"], name="weeks_child_week_start_date_key"),
            models.CheckConstraint(condition=models.Q(week_start_date__iso_week_day=1), name="weeks_start_on_monday"),
            models.CheckConstraint(
                condition=models.Q(week_start_date__range=(FIRST_MONDAY, LAST_MONDAY)), name="weeks_start_in_range"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    week_end_date=models.ExpressionWrapper(
                        models.F("week_start_date") + 6, output_field=models.DateField()
                    )
                ),
                name="weeks_end_on_sunday",
            ),
            models.CheckConstraint(
                condition=Exact(JsonType("reflection"), "object"), name="weeks_reflection_is_object"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "week_start_date"], name="weeks_by_user"),
            models.Index(fields=["template"], name="weeks_by_template", condition=models.Q(template__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.week_start_date.isoformat()


class Habit(ModernModel):
    """One line of a week; its identity there is `display_order`, from 0 without gaps, and names may repeat.

    `legacy_id` is what the legacy row calls it, kept so that it can be written back.
    """

    week = models.ForeignKey(Week, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="habits")
    name = models.TextField(_("name"))
    time_period = models.TextField(_("time of day"), null=True, blank=True, db_default="")
    display_order = models.IntegerField(_("position"))
    legacy_id = models.BigIntegerField(_("id in the legacy row"), null=True, blank=True)

    class Meta:
        db_table = "habits"
        verbose_name = _("habit")
        verbose_name_plural = _("habits")
        constraints = [
            models.UniqueConstraint(fields=["week", "display_order"], name="habits_week_display_order_key"),
            models.CheckConstraint(condition=length_between("name", 1, HABIT_NAME_LENGTH), name="habits_name_length"),
            models.CheckConstraint(condition=models.Q(display_order__gte=0), name="habits_display_order_from_0"),
        ]

    def __str__(self) -> str:
        return self.name


class RecordStatus(models.TextChoices):
    """A mark; `none` is a day that is still blank."""

    GREEN = "green", _("green")
    YELLOW = "yellow", _("yellow")
    RED = "red", _("red")
    NONE = "none", _("blank")


class HabitRecord(ModernModel):
    """The mark of one habit on one day; every habit has seven, the blank ones too."""

    habit = models.ForeignKey(
        Habit, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="records"
    )
    record_date = models.DateField(_("day"))
    status = models.TextField(_("mark"), choices=RecordStatus.choices, db_default=RecordStatus.NONE.value)
    note = models.TextField(_("note"), null=True, blank=True)

    class Meta:
        db_table = "habit_records"
        verbose_name = _("mark")
        verbose_name_plural = _("marks")
        constraints = [
            models.UniqueConstraint(fields=["habit", "record_date"], name="habit_records_habit_record_date_key"),
            models.CheckConstraint(
                condition=models.Q(status__in=RecordStatus.values), name="habit_records_status_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.record_date.isoformat()}: {self.status}"
