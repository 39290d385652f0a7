"""A document in both stores, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from migration_ops.definition import Json

MAY_READ = "migration_ops.view_beforeimage"
"""The permission that shows what people wrote; without it pages say of values no more than kind and length."""


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field of the document; None for nothing at all."""

    path: str
    legacy: str | None
    modern: str | None
    differs: bool


def said(value: Json) -> str | None:
    """A value as text; a list of plain values in a line."""
    if value is None:
        return None
    if isinstance(value, list):
        return " · ".join("–" if each in (None, "", "none") else str(each) for each in value)
    return str(value)


def masked(value: Json) -> str | None:
    """Kind and length of a value, never what it says."""
    if value is None:
        return None
    if isinstance(value, str | list | dict):
        return _("hidden, of length %(length)d") % {"length": len(value)}
    return _("hidden")


def recorded(request: HttpRequest, fields: Iterable[Mapping[str, Any]]) -> list[FieldView]:
    """Fields that differ, as a run has recorded them, for whoever asks."""
    tell = said if request.user.has_perm(MAY_READ) else masked
    return [FieldView(each["path"], tell(each["legacy"]), tell(each["modern"]), differs=True) for each in fields]
