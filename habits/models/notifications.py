"""What a family is told."""

from __future__ import annotations

from django.db import models
from django.db.models.fields.json import KT
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from habits.models.base import JsonType, ModernModel, length_between
from habits.models.users import User


class NotificationType(models.TextChoices):
    MENTION = "mention", _("mention")
    ACHIEVEMENT = "achievement", _("achievement")
    WEEKLY_REPORT = "weekly_report", _("weekly report")
    CHAT = "chat", _("chat")


class Notification(ModernModel):
    """One message to one account. Of one child's week there is one achievement, of a week one report."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="notifications"
    )
    from_user = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("from"),
    )
    type = models.TextField(_("kind"), choices=NotificationType.choices)
    title = models.TextField(_("title"))
    message = models.TextField(_("message"), null=True, blank=True, db_default="")
    link_url = models.TextField(_("link"), null=True, blank=True, db_default="")
    metadata = models.JSONField(_("details"), null=True, blank=True, db_default={})
    is_read = models.BooleanField(_("read"), default=False, db_default=False)

    class Meta:
        db_table = "notifications"
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints = [
            models.UniqueConstraint(
                "user",
                KT("metadata__child"),
                KT("metadata__week"),
                condition=models.Q(type=NotificationType.ACHIEVEMENT),
                name="notifications_achievement_key",
            ),
            models.UniqueConstraint(
                "user",
                KT("metadata__week"),
                condition=models.Q(type=NotificationType.WEEKLY_REPORT),
                name="notifications_weekly_report_key",
            ),
            models.CheckConstraint(
                condition=models.Q(type__in=NotificationType.values), name="notifications_type_known"
            ),
            models.CheckConstraint(condition=length_between("title", 1, 200), name="notifications_title_length"),
            models.CheckConstraint(
                condition=Exact(JsonType("metadata"), "object"), name="notifications_metadata_is_object"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="notifications_by_user"),
            models.Index(fields=["user"], name="notifications_unread", condition=models.Q(is_read=False)),
            models.Index(
                fields=["from_user"], name="notifications_by_sender", condition=models.Q(from_user__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title
