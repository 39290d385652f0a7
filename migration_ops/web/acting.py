"""Acts on a migration: first says what would happen, and does it when that was confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from migration_ops import registry, state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import (
    GateClosed,
    MigrationOpsError,
    ReasonMissing,
    Refused,
    UnknownMigration,
    UnusableInput,
)
from migration_ops.gates import Gate, overrides
from migration_ops.rollout import forward
from migration_ops.rollout.control import Change
from migration_ops.state import State
from migration_ops.web import gate_views, sentences, wording
from migration_ops.web.actions import Action
from migration_ops.web.forms import ActionForm

OVERRIDE = "migration_ops.override_migration"

_LONGEST_ACTOR = 200


@dataclass(slots=True)
class _Answer:
    """What the page says.

    Attributes:
        change: what would be done; None where nothing can be.
        gates: of the step, where it has some.
        refusal: why not.
        status: of HTTP.
    """

    change: Change | None = None
    gates: tuple[Gate, ...] = ()
    refusal: str = ""
    status: int = 200
    notes: list[str] = field(default_factory=list)


def view(site: AdminSite, action: Action) -> Callable[..., HttpResponseBase]:
    """The page of one action, `POST` alone. What comes without `confirm` changes nothing."""

    @require_POST
    def act(request: HttpRequest, name: str) -> HttpResponseBase:
        if not request.user.has_perm(action.codename):
            raise PermissionDenied
        try:
            migration = registry.get(name)
        except UnknownMigration:
            raise Http404 from None
        now = state.read(migration)
        form = action.form(request.POST, now=now)
        if not form.is_valid():
            return _page(site, request, migration, action, form, now, _Answer(status=400))
        if "confirm" in request.POST:
            return _confirmed(site, request, migration, action, form, now)
        answer = _asked(request, migration, action, form, now)
        if request.POST.get("version") not in (None, str(now.version)) and not answer.refusal:
            answer.notes.append(_("Somebody changed the migration since your page was made. This is how it is now."))
        return _page(site, request, migration, action, form, now, answer)

    return act


def _confirmed(
    site: AdminSite, request: HttpRequest, migration: AnyMigration, action: Action, form: ActionForm, now: State
) -> HttpResponseBase:
    """Do it, if it is what was looked at, at the version that was looked at."""
    try:
        version = int(request.POST.get("version", ""))
    except ValueError:
        refusal = _("The page did not say which version of the state it was made for. Look at this and confirm again.")
        answer = _asked(request, migration, action, form, now)
        answer.refusal, answer.status = answer.refusal or refusal, 400
        return _page(site, request, migration, action, form, now, answer)
    if request.POST.get("looked_at", "{}") != form.fingerprint:
        answer = _asked(request, migration, action, form, now)
        answer.notes.append(_("This is not what you looked at before. Look at it, and confirm again."))
        return _page(site, request, migration, action, form, now, answer)
    answer = _try(request, migration, action, form, dry_run=False, version=version)
    if answer.change is None or answer.refusal:
        again = state.read(migration)
        if answer.status == 409 and again.version != version:
            # What can be done now, for the one who decides anew.
            answer.change = _asked(request, migration, action, form, again).change
        return _page(site, request, migration, action, form, again, answer)
    messages.success(request, sentences.done(migration, action, answer.change))
    return redirect("admin:migration_ops_dashboard_room", migration.name)


def _asked(request: HttpRequest, migration: AnyMigration, action: Action, form: ActionForm, now: State) -> _Answer:
    return _try(request, migration, action, form, dry_run=True, version=now.version)


def _try(
    request: HttpRequest, migration: AnyMigration, action: Action, form: ActionForm, *, dry_run: bool, version: int
) -> _Answer:
    said: dict[str, Any] = {
        "actor": f"admin: {request.user.get_username()}"[:_LONGEST_ACTOR],
        "reason": form.cleaned_data["reason"],
        "dry_run": dry_run,
        "version": version,
    }
    if action.can_vouch and "override" in request.POST:
        if not request.user.has_perm(OVERRIDE):
            raise PermissionDenied
        said["override"] = True
    try:
        change = action.run(migration, values=form.values, **said)
    except GateClosed as error:
        gates = tuple(gate for gate in error.gates if isinstance(gate, Gate))
        return _Answer(gates=gates, refusal=wording.translated(str(error)).partition("\n")[0], status=409)
    except ReasonMissing:
        field = form.fields["reason"].label
        return _Answer(refusal=_("Say in the field “%(field)s” why you vouch.") % {"field": field}, status=400)
    except UnusableInput as error:
        return _Answer(refusal=wording.translated(str(error)), status=400)
    except Refused as error:
        return _Answer(refusal=wording.translated(str(error)), status=409)
    except MigrationOpsError as error:
        return _Answer(refusal=wording.translated(str(error)), status=503)
    except OperationalError:
        return _Answer(refusal=_("The database did not do it. Nothing was left half done; try again."), status=503)
    return _Answer(change, change.gates)


def _page(
    site: AdminSite,
    request: HttpRequest,
    migration: AnyMigration,
    action: Action,
    form: ActionForm,
    now: State,
    answer: _Answer,
) -> TemplateResponse:
    change = answer.change
    may_vouch = action.can_vouch and answer.change is None and bool(request.user.has_perm(OVERRIDE))
    beyond = _beyond_vouching(now, answer)
    if beyond and (may_vouch or action.verb == sentences.VOUCHING):
        gates = ", ".join(str(wording.GATES.get(gate_id, gate_id)) for gate_id in beyond)
        answer.notes.append(_("Nobody can vouch for these, they are about the data: %(gates)s.") % {"gates": gates})
    shown = {
        **site.each_context(request),
        "title": action.label,
        "migration": migration,
        "action": action,
        "form": form,
        "version": now.version,
        "fingerprint": form.fingerprint if form.is_valid() else "",
        "refusal": answer.refusal,
        "notes": answer.notes,
        "sentence": sentences.would(action, change) if change else "",
        "changes": sentences.changes(change) if change else [],
        "gates": [gate_views.gate(gate) for gate in sorted(answer.gates, key=lambda gate: gate.is_open)],
        "possible": change is not None and (bool(sentences.changes(change)) or action.verb == sentences.VOUCHING),
        "vouching": "override" in request.POST,
        "looks_again": bool(answer.gates) or len(form.fields) > 1,
        "can_vouch": may_vouch and bool(answer.gates) and not beyond,
    }
    return TemplateResponse(request, "migration_ops/action.html", shown, status=answer.status)


def _beyond_vouching(now: State, answer: _Answer) -> list[str]:
    """Closed gates that nobody can vouch for."""
    following = forward.following(now)
    exposes = following is not None and following.exposes
    return [
        gate.id for gate in answer.gates if not gate.is_open and not overrides.may_be_waived(gate.id, exposes=exposes)
    ]
