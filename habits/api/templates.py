"""Templates, and weeks that begin with one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router

from habits import templates
from habits.api import representation, schemas
from habits.api.admission import owner
from habits.api.boards import WEEK, Day, Name, answer_to, any_day, prepared
from habits.api.conditions import condition
from habits.api.idempotency import idempotent
from habits.api.methods import READING
from habits.template_habits import Mode

router = Router(tags=["templates"])

_TEMPLATE = "/templates/{uuid:template}"


@router.api_operation(READING, "/templates", response=list[schemas.TemplateOut])
def list_templates(request: HttpRequest) -> HttpResponse:
    """The family's templates: the shared ones first, then by child; defaults before others, then by name."""
    return representation.answer([representation.template(each) for each in templates.listed(owner=owner(request).pk)])


@router.post("/templates", response={201: schemas.TemplateOut})
@idempotent
def post_template(request: HttpRequest, template: schemas.TemplateIn) -> HttpResponse:
    """Make a template. A default takes the place of the one there was, for the same child or shared."""
    made = templates.create(
        owner=owner(request).pk,
        name=template.name,
        description=template.description,
        habits=[habit.name for habit in template.habits],
        child=template.child,
        is_default=template.is_default,
    )
    response = representation.answer(representation.template(made), 201)
    response["Location"] = f"/api/templates/{made.id}"
    return response


@router.api_operation(READING, _TEMPLATE, response=schemas.TemplateOut)
def read_template(request: HttpRequest, template: UUID) -> HttpResponse:
    """One template."""
    found = templates.get(owner=owner(request).pk, template=template)
    return representation.answer(representation.template(found))


@router.patch(_TEMPLATE, response=schemas.TemplateOut)
@idempotent
def patch_template(request: HttpRequest, template: UUID, change: schemas.TemplateChangeIn) -> HttpResponse:
    """Change what is sent of a template, and leave the rest as it is."""
    sent: dict[str, Any] = {name: getattr(change, name) for name in change.model_fields_set}
    if "habits" in sent:
        sent["habits"] = [habit.name for habit in change.habits]
    changed = templates.change(owner=owner(request).pk, template=template, **sent)
    return representation.answer(representation.template(changed))


@router.delete(_TEMPLATE, response={204: None})
@idempotent
def delete_template(request: HttpRequest, template: UUID) -> HttpResponse:
    """Delete a template. Weeks that began with it stay as they are."""
    templates.delete(owner=owner(request).pk, template=template)
    response = HttpResponse(status=204, headers=representation.UNKEPT)
    del response["Content-Type"]
    return response


@router.post(f"{WEEK}/apply-template", response={200: schemas.BoardOut, 201: schemas.BoardOut})
@prepared
@idempotent
def apply_template(request: HttpRequest, name: Name, day: Day, how: schemas.ApplyTemplateIn) -> HttpResponse:
    """Give the week the habits of a template; there is a week afterwards. Habits that stay keep their marks."""
    asked = condition(request)
    written = templates.apply(
        owner=owner(request).pk,
        template=how.template_id,
        child=name,
        day=any_day(day),
        mode=Mode(how.mode),
        overwrite=how.overwrite,
        seen=asked.seen,
        must_exist=asked.must_exist,
    )
    return answer_to(written, 201 if written.created else 200)
