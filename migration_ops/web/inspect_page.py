"""One document in both stores side by side, named by the parts of its key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from migration_ops import inspection
from migration_ops.definition import AnyMigration, Json, Side
from migration_ops.exceptions import MigrationOpsError, UnusableInput
from migration_ops.inspection import Inspection
from migration_ops.models import QuarantineStatus
from migration_ops.web import wording
from migration_ops.web.shapes import listed, rows
from migration_ops.web.sides import FieldView, said

_LONGEST_PART = 400


@dataclass(frozen=True, slots=True)
class ImageView:
    """What a document or row looked like before."""

    at: datetime
    side: str
    row: str
    cause: str
    actor: str
    image: str


@dataclass(frozen=True, slots=True)
class InspectionView:
    """All of the page below its form."""

    found: Inspection
    key: str
    headline: str
    tone: str
    word: str
    why: str
    fields: Sequence[FieldView]
    differing: int
    notices: Sequence[tuple[str, Any]]
    quarantined: Sequence[tuple[str, str, Any]]
    images: Sequence[ImageView]
    all_images: str


def shown(request: HttpRequest, migration: AnyMigration) -> dict[str, Any]:
    """What the template needs. A key that cannot be read is said in a sentence, with status 400; so is a store."""
    view: dict[str, Any] = {
        "migration": migration,
        "title": _("Look into one document: %(label)s") % {"label": migration.label},
        "form": _form(request, migration),
        "found": None,
        "refusal": "",
        "status": 200,
    }
    if not request.GET:
        return view
    try:
        if text := request.GET.get("key"):
            key = inspection.encoded(migration, text)
        else:
            key = inspection.named(migration, {name: str(value)[:_LONGEST_PART] for name, value in request.GET.items()})
        found = inspection.inspect(migration, key)
    except UnusableInput as error:
        return view | {"refusal": wording.translated(str(error)), "status": 400}
    except MigrationOpsError as error:
        return view | {"refusal": wording.translated(str(error)), "status": 503}
    return view | {"form": _form(request, migration, found), "found": _view(migration, found)}


def _form(request: HttpRequest, migration: AnyMigration, found: Inspection | None = None) -> forms.Form | None:
    """The parts as they were typed, or as they are understood; None where keys have no parts."""
    if migration.key_form is None:
        return None
    form = forms.Form(initial=dict(found.parts) if found else request.GET.dict())
    for part in migration.key_form.parts:
        kind = {"type": "date"} if part.is_date else {"autocomplete": "off", "autocapitalize": "off"}
        form.fields[part.name] = forms.CharField(label=wording.declared(part.label), widget=forms.TextInput(attrs=kind))
    return form


def _view(migration: AnyMigration, found: Inspection) -> InspectionView:
    fields = [FieldView(each.path, said(each.legacy), said(each.modern), each.differs) for each in found.fields]
    differing = sum(each.differs for each in fields)
    headline, tone = _headline(found, differing)
    return InspectionView(
        found=found,
        key=" · ".join(found.parts.values()),
        headline=headline,
        tone=tone,
        word=str(wording.SIDES[found.decision.side.value]),
        why=str(wording.REASONS[found.decision.reason]),
        fields=fields,
        differing=differing,
        notices=[(str(wording.SIDES[notice.side]), notice) for notice in found.notices],
        quarantined=[
            (str(QuarantineStatus(item.status).label), listed(migration, "quarantine", listed=item.code), item)
            for item in found.quarantined
        ],
        images=[
            ImageView(
                each.at, str(wording.SIDES[each.side]), each.row or "", each.cause, each.actor, _pretty(each.image)
            )
            for each in found.images
        ],
        all_images=rows("beforeimage", migration__exact=migration.name, key__exact=found.key),
    )


_ABSENT = {
    frozenset(): gettext_lazy("Neither store has a whole document of this key."),
    frozenset({Side.LEGACY}): gettext_lazy("Only legacy has it."),
    frozenset({Side.MODERN}): gettext_lazy("Only modern has it."),
}


def _headline(found: Inspection, differing: int) -> tuple[str, str]:
    if found.there in _ABSENT:
        return str(_ABSENT[found.there]), "unsure"
    if differing:
        return _("The two stores differ."), "bad"
    return _("Both stores have it, and it is the same."), "good"


def _pretty(image: Json) -> str:
    return json.dumps(image, ensure_ascii=False, indent=2) if image is not None else ""
