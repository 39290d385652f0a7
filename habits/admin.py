"""Accounts, and the modern tables to look at: boards are changed by families and by the migration, never here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import BaseUserCreationForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from waffle.models import Sample, Switch

from habits.models import (
    Child,
    Habit,
    HabitRecord,
    HabitTemplate,
    IdempotencyRecord,
    Notification,
    User,
    Week,
)
from migration_ops.admin import ReadOnlyAdmin

if TYPE_CHECKING:  # generic for the type checker only
    _CreationForm = BaseUserCreationForm[User]
    _UserAdmin = UserAdmin[User]
else:
    _CreationForm = BaseUserCreationForm
    _UserAdmin = UserAdmin


for unused in (Sample, Switch):  # nobody here asks them; a page of them would mislead
    if admin.site.is_registered(unused):
        admin.site.unregister(unused)


class AccountCreationForm(_CreationForm):
    """A new account: an e-mail address and a password."""

    class Meta:
        model = User
        fields = ("email",)


@admin.register(User)
class AccountAdmin(_UserAdmin):
    """Accounts are switched off, not deleted: their boards would be orphaned, or gone with them."""

    add_form = AccountCreationForm
    ordering = ("email",)
    list_display = ("email", "is_active", "is_staff", "created_at")
    list_filter = ("is_active", "is_staff", "groups")
    search_fields = ("email", "id")
    readonly_fields = ("id", "created_at", "updated_at", "last_login")
    fieldsets = (
        (None, {"fields": ("id", "email", "password")}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Times"), {"fields": ("last_login", "created_at", "updated_at")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "password1", "password2")}),)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


@admin.register(Child)
class ChildAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("name", "user", "created_at")
    list_select_related = ("user",)
    search_fields = ("=name", "=user__email")


@admin.register(Week)
class WeekAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("week_start_date", "child", "theme", "updated_at")
    list_select_related = ("child",)
    search_fields = ("=child__name", "=user__email")


@admin.register(Habit)
class HabitAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("name", "time_period", "display_order", "week")
    list_select_related = ("week",)
    search_fields = ("=week__id",)


@admin.register(HabitRecord)
class HabitRecordAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("record_date", "status", "habit")
    list_select_related = ("habit",)
    search_fields = ("=habit__id",)


@admin.register(HabitTemplate)
class HabitTemplateAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("name", "user", "child", "is_default")
    list_select_related = ("user", "child")
    search_fields = ("=name", "=user__email")


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("title", "type", "user", "is_read", "created_at")
    list_select_related = ("user",)
    search_fields = ("=user__email",)


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("method", "route", "user", "response_status", "expires_at")
    list_select_related = ("user",)
    search_fields = ("=user__email", "=key")
