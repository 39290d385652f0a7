"""Templates of a family: list, make, edit, delete."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from habits import family, templates
from habits.templates import SAME, NoSuchTemplate, Template
from habits.web import board_view
from habits.web.addresses import key_or_404
from habits.web.once import Done, new_token, once
from habits.web.sentences import REFUSED, sentence
from habits.web.visitor import family_page, owner


@family_page
@require_safe
def listed(request: HttpRequest) -> HttpResponseBase:
    """All of the family's, the shared ones first."""
    return render(request, "family/templates.html", {"templates": templates.listed(owner=owner(request))})


@family_page
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponseBase:
    if request.method == "POST":
        return _saved(request, reverse("template_new"), lambda: _create(request))
    return render(request, "family/template_edit.html", _form(request, None))


@family_page
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, template: UUID) -> HttpResponseBase:
    found = _existing(request, template)
    if request.method == "POST":
        here = reverse("template_edit", kwargs={"template": template})
        return _saved(request, here, lambda: _change(request, found))
    return render(request, "family/template_edit.html", _form(request, found))


@family_page
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, template: UUID) -> HttpResponseBase:
    """Asks first."""
    if request.method == "POST":
        return once(request, lambda: _delete(request, template))
    context = {"template": _existing(request, template), "token": new_token()}
    return render(request, "family/template_delete.html", context)


@family_page
@require_POST
def from_week(request: HttpRequest, name: str, day: date) -> HttpResponse:
    """Keep the habits of a week as a template."""
    key = key_or_404(request, name, day)

    def make() -> None:
        title, shared = request.POST.get("name", "").strip(), bool(request.POST.get("shared"))
        templates.create_from_week(owner=key.owner, child=key.child, day=key.week_start, name=title, shared=shared)

    return _saved(request, board_view.week_url(key.child, key.week_start), make)


def _create(request: HttpRequest) -> None:
    templates.create(
        owner=owner(request),
        name=request.POST.get("name", "").strip(),
        description=_text(request, "description"),
        habits=_lines(request),
        child=request.POST.get("child") or None,
        is_default=bool(request.POST.get("is_default")),
    )


def _change(request: HttpRequest, known: Template) -> None:
    """Habits only if they were edited: a name that has a line end in it cannot be told from two."""
    edited = _text(request, "habits") != _text(request, "was_habits")
    templates.change(
        owner=owner(request),
        template=known.id,
        name=request.POST.get("name", "").strip(),
        description=_text(request, "description"),
        habits=_lines(request) if edited else SAME,
        child=request.POST.get("child") or None,
        is_default=bool(request.POST.get("is_default")),
    )


def _delete(request: HttpRequest, template: UUID) -> Done:
    try:
        templates.delete(owner=owner(request), template=template)
    except NoSuchTemplate:
        raise Http404 from None
    return Done(reverse("templates"), gettext("The template is deleted. Weeks that began with it stay as they are."))


def _saved(request: HttpRequest, form: str, make: Callable[[], None]) -> HttpResponse:
    """Make it, and go on to the list, or back to the form with the reason."""

    def work() -> Done:
        try:
            make()
        except (NoSuchTemplate, family.NoSuchBoard):
            raise Http404 from None
        except REFUSED as refused:
            return Done(form, sentence(refused), messages.ERROR)
        return Done(reverse("templates"), gettext("Saved."))

    return once(request, work)


def _existing(request: HttpRequest, template: UUID) -> Template:
    try:
        return templates.get(owner=owner(request), template=template)
    except NoSuchTemplate:
        raise Http404 from None


def _form(request: HttpRequest, template: Template | None) -> dict[str, object]:
    names = [child.name for child in family.children(owner(request)).children]
    if template is not None and template.child is not None and template.child not in names:
        names.append(template.child)
    habits = "\n".join(template.habits) if template else ""
    return {"template": template, "habits": habits, "children": names, "token": new_token()}


def _lines(request: HttpRequest) -> list[str]:
    return [line.strip() for line in _text(request, "habits").split("\n") if line.strip()]


def _text(request: HttpRequest, field: str) -> str:
    return request.POST.get(field, "").replace("\r\n", "\n")
