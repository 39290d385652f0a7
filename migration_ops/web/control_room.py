"""The control room's pages in the admin: all migrations, one of them, and the parts of it that come again every few
seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from migration_ops import dashboard, registry, state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnknownMigration
from migration_ops.models import Dashboard
from migration_ops.web import (
    acting,
    alerts_page,
    difference_page,
    figures,
    inspect_page,
    pictures,
    quarantine_page,
    runs_page,
)
from migration_ops.web.acting import Acting
from migration_ops.web.acting_on_state import ActingOnState
from migration_ops.web.actions import ACTIONS
from migration_ops.web.alerts_page import ACKNOWLEDGE
from migration_ops.web.difference_actions import DIFFERENCE_ACTIONS
from migration_ops.web.drift_action import LOOK_FOR_DRIFT
from migration_ops.web.quarantine_actions import QUARANTINE_ACTIONS
from migration_ops.web.run_actions import RUN_ACTIONS

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Dashboard]
else:
    _ModelAdmin = admin.ModelAdmin

View = Callable[..., HttpResponseBase]

Shown = Callable[..., dict[str, Any]]
"""What a page of a migration shows, by the request, the migration, and what else its address names."""

MAY_LOOK = "migration_ops.view_migrationstate"
MAY_SEE_DIFFERENCES = "migration_ops.view_difference"

ACTING: tuple[Acting, ...] = (
    *map(ActingOnState, ACTIONS),
    *RUN_ACTIONS,
    *QUARANTINE_ACTIONS,
    *DIFFERENCE_ACTIONS,
    LOOK_FOR_DRIFT,
    ACKNOWLEDGE,
)


class ControlRoom(_ModelAdmin):
    """Mounts the control room where the admin mounts the pages of a model, behind the admin's login."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(MAY_LOOK))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        name = "migration_ops_dashboard"
        return [
            path("", site.admin_view(self._looking(self.every)), name=f"{name}_changelist"),
            path("<str:name>/", site.admin_view(self._looking(self.one)), name=f"{name}_room"),
            path("<str:name>/live/", self._fragment(self._looking(self.live)), name=f"{name}_live"),
            path("<str:name>/charts/", self._fragment(self._looking(self.charts)), name=f"{name}_charts"),
            path(
                "<str:name>/runs/",
                self._showing("runs", runs_page.shown, "migration_ops.view_run"),
                name=f"{name}_runs",
            ),
            path(
                "<str:name>/runs/live/",
                self._fragment(self._shown("runs_live", runs_page.shown, "migration_ops.view_run"), page="runs"),
                name=f"{name}_runs_live",
            ),
            path(
                "<str:name>/quarantine/",
                self._showing("quarantine", quarantine_page.shown, "migration_ops.view_quarantineitem"),
                name=f"{name}_quarantine",
            ),
            path(
                "<str:name>/differences/",
                self._showing("differences", difference_page.shown, MAY_SEE_DIFFERENCES),
                name=f"{name}_differences",
            ),
            path(
                "<str:name>/differences/<int:number>/",
                self._showing("difference", difference_page.one_shown, MAY_SEE_DIFFERENCES),
                name=f"{name}_difference",
            ),
            path(
                "<str:name>/inspect/",
                self._showing("inspect", inspect_page.shown, "migration_ops.view_beforeimage"),
                name=f"{name}_inspect",
            ),
            path(
                "<str:name>/alerts/",
                self._showing("alerts", alerts_page.shown, "migration_ops.view_alert"),
                name=f"{name}_alerts",
            ),
            *(path(f"<str:name>/{each.verb}/", self._acting(each), name=each.url_name) for each in ACTING),
        ]

    def every(self, request: HttpRequest) -> HttpResponseBase:
        """All migrations; the only one there is, at once."""
        migrations = registry.all_migrations()
        if len(migrations) == 1:
            return redirect("admin:migration_ops_dashboard_room", migrations[0].name)
        standing = [figures.standing(migration, state.read(migration)) for migration in migrations]
        return self._page(request, "migration_ops/control_rooms.html", title=_("Control room"), standing=standing)

    def one(self, request: HttpRequest, name: str) -> HttpResponseBase:
        migration = known(name)
        title = _("Control room: %(label)s") % {"label": migration.label}
        shown = {**self._live(request, migration), **self._charts(migration)}
        return self._page(request, "migration_ops/control_room.html", title=title, **shown)

    def live(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """What changes by the second."""
        return TemplateResponse(request, "migration_ops/control_room_live.html", self._live(request, known(name)))

    def charts(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """The last 24 hours."""
        return TemplateResponse(request, "migration_ops/control_room_charts.html", self._charts(known(name)))

    def _live(self, request: HttpRequest, migration: AnyMigration) -> dict[str, Any]:
        shown = figures.live(dashboard.look(migration))
        allowed = [action for action in ACTIONS if request.user.has_perm(action.codename)]
        offered = [action for action in allowed if action.offered(shown.now)]
        buttons = [(action, reverse(f"admin:{action.url_name}", args=[migration.name])) for action in offered]
        return {"migration": migration, "shown": shown, "buttons": buttons, "may_act": bool(allowed)}

    def _charts(self, migration: AnyMigration) -> dict[str, Any]:
        return {"migration": migration, "charts": pictures.charts(migration, dashboard.day(migration))}

    def _page(self, request: HttpRequest, template: str, *, title: str, **shown: Any) -> TemplateResponse:
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), "title": title, **shown})

    def _looking(self, view: View) -> View:
        """Only for those who may see the state; `GET` alone."""

        @require_safe
        def looking(request: HttpRequest, **where: str) -> HttpResponseBase:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return view(request, **where)

        return looking

    def _showing(self, template: str, shown: Shown, permission: str) -> View:
        """A page of one migration, for those with this permission; `GET` alone."""
        return self.admin_site.admin_view(self._shown(template, shown, permission))

    def _shown(self, template: str, shown: Shown, permission: str) -> View:
        """The same, or a part of a page, without the way to the login."""

        @require_safe
        def showing(request: HttpRequest, name: str, **where: Any) -> HttpResponseBase:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            found = shown(request, known(name), **where)
            status = found.pop("status", 200)
            page = self._page(request, f"migration_ops/{template}.html", **found)
            page.status_code = status
            return page

        return showing

    def _acting(self, each: Acting) -> View:
        """An action. Who is logged in and no staff is refused: no login of theirs would let them."""
        inside = self.admin_site.admin_view(acting.view(self.admin_site, each))

        def act(request: HttpRequest, name: str) -> HttpResponseBase:
            if request.user.is_authenticated and not self.admin_site.has_permission(request):
                raise PermissionDenied
            return inside(request, name=name)

        return act

    def _fragment(self, view: View, *, page: str = "room") -> View:
        """A part of a page. Whose session has ended meanwhile is sent to the login as a page, not into the part."""
        inside = self.admin_site.admin_view(view)

        def fragment(request: HttpRequest, name: str) -> HttpResponseBase:
            if HtmxDetails(request) and not self.admin_site.has_permission(request):
                whole = reverse(f"admin:migration_ops_dashboard_{page}", args=[name])
                return HttpResponseClientRedirect(f"{reverse('admin:login')}?next={whole}")
            return inside(request, name=name)

        return fragment


def known(name: str) -> AnyMigration:
    """The migration of this name, or a 404."""
    try:
        return registry.get(name)
    except UnknownMigration:
        raise Http404 from None
