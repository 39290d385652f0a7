"""The engine's state in the admin: to be read, never to be edited.

Whatever changes it goes through the services, which hold the locks and write the history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from migration_ops.models import (
    BeforeImage,
    Difference,
    DirtyKey,
    HistoryEntry,
    MergeRecord,
    Metric,
    MigrationState,
    QuarantineItem,
    Run,
    RunRange,
)

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[RunRange, Run]
else:
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline


class _Unchangeable:
    """Nobody adds, changes or deletes here, superusers included."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyAdmin(_Unchangeable, _ModelAdmin):
    """A page to look at."""

    show_full_result_count = False
    list_per_page = 50


class RangeInline(_Unchangeable, _TabularInline):
    model = RunRange
    extra = 0
    fields = ["number", "side", "cursor", "done", "counters", "lease_owner", "lease_until"]


@admin.register(MigrationState)
class MigrationStateAdmin(ReadOnlyAdmin):
    list_display = ["name", "stage", "percent", "hold", "kill", "capture_since", "changed_at"]


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["id", "migration", "kind", "status", "started_at", "ended_at", "total", "hold_reason"]
    list_filter = ["migration", "kind", "status"]
    inlines = [RangeInline]


@admin.register(QuarantineItem)
class QuarantineItemAdmin(ReadOnlyAdmin):
    list_display = ["row", "source", "migration", "code", "status", "held_by", "message", "found_at", "decided_by"]
    list_filter = ["migration", "status", "code"]
    search_fields = ["row", "key"]


@admin.register(Difference)
class DifferenceAdmin(ReadOnlyAdmin):
    list_display = ["key", "migration", "kind", "status", "run", "found_at", "closed_at"]
    list_filter = ["migration", "kind", "status"]
    list_select_related = ["run"]
    search_fields = ["key"]


@admin.register(BeforeImage)
class BeforeImageAdmin(ReadOnlyAdmin):
    list_display = ["key", "migration", "side", "row", "cause", "actor", "at"]
    list_filter = ["migration", "side", "cause"]
    search_fields = ["key", "row"]


@admin.register(DirtyKey)
class DirtyKeyAdmin(ReadOnlyAdmin):
    list_display = ["id", "migration", "side", "row", "key", "created_at", "attempts", "sqlstate"]
    list_filter = ["migration", "side"]
    search_fields = ["row", "key"]


@admin.register(MergeRecord)
class MergeRecordAdmin(ReadOnlyAdmin):
    list_display = ["key", "migration", "rows", "merged_at"]
    list_filter = ["migration"]
    search_fields = ["key"]


@admin.register(HistoryEntry)
class HistoryEntryAdmin(ReadOnlyAdmin):
    list_display = ["id", "at", "migration", "actor", "verb", "from_stage", "to_stage", "reason"]
    list_filter = ["migration", "verb"]
    search_fields = ["actor", "reason"]


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    list_display = ["minute", "migration", "name", "side", "outcome", "sqlstate", "count"]
    list_filter = ["migration", "name", "side", "outcome"]
    ordering = ["-minute"]
