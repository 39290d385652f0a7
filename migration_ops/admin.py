"""The engine's state in the admin: to be read, never to be edited.

Whatever changes it goes through the services, which hold the locks and write the history.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from waffle.admin import FlagAdmin as WaffleFlagAdmin
from waffle.models import Flag as WaffleFlag

from migration_ops import registry
from migration_ops.models import (
    BeforeImage,
    Dashboard,
    Difference,
    DirtyKey,
    Flag,
    GateOverride,
    GateReading,
    Heartbeat,
    HistoryEntry,
    MergeRecord,
    Metric,
    MetricTotal,
    MigrationState,
    QuarantineItem,
    ReadDifference,
    Run,
    RunRange,
)
from migration_ops.web import sides, wording
from migration_ops.web.control_room import ControlRoom
from migration_ops.web.wording import Text

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[RunRange, Run]
    _FlagForm = forms.ModelForm[Flag]
else:
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline
    _FlagForm = forms.ModelForm


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
    list_display = ["key", "migration", "severity", "kind", "status", "run", "found_at", "seen_at", "explained_by"]
    list_filter = ["migration", "severity", "kind", "status"]
    list_select_related = ["run"]
    search_fields = ["key"]

    def get_exclude(self, request: HttpRequest, obj: Difference | None = None) -> list[str]:
        """What people wrote is for those who may read it."""
        return [] if request.user.has_perm(sides.MAY_READ) else ["fields"]


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


class VerbFilter(admin.AllValuesFieldListFilter):
    """What was done, in words."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": wording.verb(str(choice["display"]))}


@admin.register(HistoryEntry)
class HistoryEntryAdmin(ReadOnlyAdmin):
    list_display = ["id", "at", "migration", "actor", "done", "came_from", "went_to", "reason"]
    list_filter = ["migration", ("verb", VerbFilter)]
    search_fields = ["actor", "reason"]
    ordering = ["-id"]

    @admin.display(description=_("what"), ordering="verb")
    def done(self, entry: HistoryEntry) -> Text:
        return wording.verb(entry.verb)

    @admin.display(description=_("from"), ordering="from_stage")
    def came_from(self, entry: HistoryEntry) -> Text:
        return wording.stage_named(entry.from_stage)

    @admin.display(description=_("to"), ordering="to_stage")
    def went_to(self, entry: HistoryEntry) -> Text:
        return wording.stage_named(entry.to_stage)


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    list_display = ["minute", "migration", "name", "side", "outcome", "sqlstate", "count"]
    list_filter = ["migration", "name", "side", "outcome"]
    ordering = ["-minute"]


@admin.register(MetricTotal)
class MetricTotalAdmin(ReadOnlyAdmin):
    list_display = ["name", "migration", "side", "outcome", "sqlstate", "cohort", "count"]
    list_filter = ["migration", "name", "side", "outcome"]
    ordering = ["migration", "name", "side", "outcome", "sqlstate", "cohort"]


@admin.register(ReadDifference)
class ReadDifferenceAdmin(ReadOnlyAdmin):
    list_display = ["key", "migration", "step", "count", "first_seen", "last_seen"]
    list_filter = ["migration"]
    search_fields = ["key"]
    ordering = ["-last_seen"]


@admin.register(GateReading)
class GateReadingAdmin(ReadOnlyAdmin):
    list_display = ["at", "migration", "step", "gate", "verdict", "clear"]
    list_filter = ["migration", "gate", "verdict", "clear"]
    ordering = ["-id"]


@admin.register(GateOverride)
class GateOverrideAdmin(ReadOnlyAdmin):
    list_display = ["at", "migration", "step", "gates", "actor", "reason", "expires_at"]
    list_filter = ["migration"]
    search_fields = ["actor", "reason"]
    ordering = ["-id"]


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ["role", "process", "migration", "at"]
    list_filter = ["migration", "role"]
    ordering = ["role", "process"]


admin.site.register(Dashboard, ControlRoom)


class FlagForm(_FlagForm):
    """A feature flag; the name of a migration is taken."""

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if _is_face(name):
            raise ValidationError(_("A flag of this name belongs to a migration; the control room turns it."))
        return name


if admin.site.is_registered(WaffleFlag):  # nobody asks django-waffle's own flags; a page of them would mislead
    admin.site.unregister(WaffleFlag)


@admin.register(Flag)
class FlagAdmin(WaffleFlagAdmin):
    """Feature flags can be edited. The face of a migration can be looked at; the control room turns it."""

    form = FlagForm

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None: those of django-waffle change many at once, the face of a migration among them."""
        return {}

    def has_change_permission(self, request: HttpRequest, obj: Flag | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj is not None and _is_face(obj.name))

    def has_delete_permission(self, request: HttpRequest, obj: Flag | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj is not None and _is_face(obj.name))


def _is_face(name: str) -> bool:
    known = {migration.name for migration in registry.all_migrations()}
    return name in known or MigrationState.objects.filter(name=name).exists()
