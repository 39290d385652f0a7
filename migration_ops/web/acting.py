"""Acts in the admin: first says what would happen, and does it when exactly that was confirmed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

from migration_ops import registry
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import MigrationOpsError, Refused, UnknownMigration, UnusableInput
from migration_ops.gates import Gate
from migration_ops.web import wording
from migration_ops.web.forms import ReasonForm
from migration_ops.web.sentences import Changed
from migration_ops.web.wording import Text

_LONGEST_ACTOR = 200


@dataclass(slots=True, kw_only=True)
class Answer:
    """What an action would do or did, or why not.

    Attributes:
        sentence: says it.
        changes: what differs between before and after, line by line.
        shown: more to look at, for a template of the action's own.
        basis: what it was said about, so that nothing else is done: a version, or a fingerprint of rows.
        possible: whether there is anything to confirm.
        gates: of the step, where it has some.
        refusal: why not; `status` is then that of HTTP.
    """

    sentence: str = ""
    changes: Sequence[Changed] = ()
    shown: Any = None
    basis: str = ""
    possible: bool = False
    gates: Sequence[Gate] = ()
    refusal: str = ""
    status: int = 200
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button that somebody pressed: what for, and what they said."""

    site: AdminSite
    request: HttpRequest
    migration: AnyMigration
    form: ReasonForm

    @property
    def said(self) -> dict[str, str]:
        """Who does it, and why, as services want to know it."""
        actor = f"admin: {self.request.user.get_username()}"[:_LONGEST_ACTOR]
        return {"actor": actor, "reason": self.form.cleaned_data["reason"]}


class Acting(ABC):
    """One button of the admin: what it needs, and the service behind it. Errors of the engine become refusals.

    Attributes:
        verb: part of its address.
        codename: the permission that it needs.
        label, explanation: what stands on it, and what it does in a sentence.
        tone: `forward`, `calm` or `danger`.
    """

    verb: str
    codename: str
    label: Text
    explanation: Text
    tone: str
    template = "migration_ops/action.html"

    @property
    def url_name(self) -> str:
        return f"migration_ops_dashboard_{self.verb}"

    @abstractmethod
    def form(self, migration: AnyMigration, request: HttpRequest) -> ReasonForm:
        """What has to be known, with what was said of it."""

    @abstractmethod
    def look(self, pressed: Pressed) -> Answer:
        """What would happen; changes nothing."""

    @abstractmethod
    def act(self, pressed: Pressed, basis: str) -> Answer:
        """Do it, if everything is as it was looked at."""

    @abstractmethod
    def home(self, pressed: Pressed) -> str:
        """The page that one comes from and goes back to."""

    def basis(self, migration: AnyMigration) -> str:
        """What a refusal is about, where what can be done now does not say it."""
        return ""

    def is_basis(self, said: str) -> bool:
        """Whether a page can have said this."""
        return said != ""

    def refused(self, pressed: Pressed, error: MigrationOpsError) -> Answer:
        """What the page says where the service did not do it."""
        status = 400 if isinstance(error, UnusableInput) else 409 if isinstance(error, Refused) else 503
        return Answer(refusal=wording.translated(str(error)), status=status)

    def more(self, pressed: Pressed, answer: Answer) -> Mapping[str, Any]:
        """What else its template needs to know."""
        return {}


def view(site: AdminSite, acting: Acting) -> Callable[..., HttpResponseBase]:
    """The page of one action, `POST` alone. What comes without `confirm` changes nothing."""

    @require_POST
    def act(request: HttpRequest, name: str) -> HttpResponseBase:
        if not request.user.has_perm(acting.codename):
            raise PermissionDenied
        try:
            migration = registry.get(name)
        except UnknownMigration:
            raise Http404 from None
        pressed = Pressed(site, request, migration, acting.form(migration, request))
        if pressed.form.is_asking:
            return _page(acting, pressed, Answer())
        if not pressed.form.is_valid():
            return _page(acting, pressed, Answer(basis=acting.basis(migration), status=400))
        if "confirm" in request.POST:
            return _confirmed(acting, pressed)
        answer = _look(acting, pressed)
        if (request.POST.get("version") or answer.basis) != answer.basis and not answer.refusal:
            answer.notes.append(_("Somebody changed the migration since your page was made. This is how it is now."))
        return _page(acting, pressed, answer)

    return act


def _confirmed(acting: Acting, pressed: Pressed) -> HttpResponseBase:
    """Do it, if it is what was looked at, as it was looked at."""
    basis = pressed.request.POST.get("version", "")
    if not acting.is_basis(basis):
        refusal = _("The page did not say which version of the state it was made for. Look at this and confirm again.")
        answer = _look(acting, pressed)
        answer.refusal, answer.status = answer.refusal or refusal, 400
        return _page(acting, pressed, answer)
    if pressed.request.POST.get("looked_at", "{}") != pressed.form.fingerprint:
        answer = _look(acting, pressed)
        answer.notes.append(_("This is not what you looked at before. Look at it, and confirm again."))
        return _page(acting, pressed, answer)
    answer = _tried(acting, pressed, lambda: acting.act(pressed, basis))
    if answer.refusal:
        now = _look(acting, pressed)
        answer.basis = now.basis
        if not now.refusal and (answer.status == 400 or now.basis != basis):
            # What can be done now, for the one who decides anew.
            answer = replace(now, refusal=answer.refusal, status=answer.status, gates=answer.gates)
        return _page(acting, pressed, answer)
    for note in answer.notes:
        messages.warning(pressed.request, note)
    messages.success(pressed.request, answer.sentence)
    return redirect(acting.home(pressed))


def _look(acting: Acting, pressed: Pressed) -> Answer:
    return _tried(acting, pressed, lambda: acting.look(pressed))


def _tried(acting: Acting, pressed: Pressed, what: Callable[[], Answer]) -> Answer:
    try:
        return what()
    except MigrationOpsError as error:
        answer = acting.refused(pressed, error)
    except OperationalError:
        refusal = _("The database did not do it. Nothing was left half done; try again.")
        answer = Answer(refusal=refusal, status=503)
    answer.basis = acting.basis(pressed.migration)
    return answer


def _page(acting: Acting, pressed: Pressed, answer: Answer) -> TemplateResponse:
    form = pressed.form
    shown = {
        **pressed.site.each_context(pressed.request),
        "title": acting.label,
        "migration": pressed.migration,
        "action": acting,
        "home": acting.home(pressed),
        "form": form,
        "fingerprint": form.fingerprint if not form.is_asking and form.is_valid() else "",
        "answer": answer,
        "looks_again": bool(answer.gates) or len(form.visible_fields()) > 1,
        **acting.more(pressed, answer),
    }
    return TemplateResponse(pressed.request, acting.template, shown, status=answer.status)
