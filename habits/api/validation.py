"""Says in our own sentences what pydantic found, and where. What was sent is never sent back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from habits.api.problems import Finding

MOST_FINDINGS = 20
LONGEST_NAME = 100
"""Of a part of a pointer: names of unknown fields are the client's own and of any length."""

SENTENCES: Mapping[str, Promise | str] = {
    "missing": _("This is missing."),
    "extra_forbidden": _("There is no such field."),
    "string_type": _("This has to be a text."),
    "int_type": _("This has to be a whole number."),
    "int_parsing": _("This has to be a whole number."),
    "int_from_float": _("This has to be a whole number."),
    "bool_type": _("This has to be true or false."),
    "list_type": _("This has to be a list."),
    "tuple_type": _("This has to be a list."),
    "dict_type": _("This has to be an object."),
    "model_type": _("This has to be an object."),
    "model_attributes_type": _("This has to be an object."),
    "literal_error": _("This is none of the possible words."),
    "uuid_parsing": _("This is no id."),
    "uuid_type": _("This is no id."),
    "too_short": _("There are too few of these."),
    "too_long": _("There are too many of these."),
    "string_too_short": _("This text is too short."),
    "string_too_long": _("This text is too long."),
    "greater_than_equal": _("This number is too small."),
    "less_than_equal": _("This number is too large."),
}
"""By pydantic's type of error."""

OTHERWISE = _("This cannot be.")


def findings(errors: Iterable[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """What ninja's `ValidationError` holds, the first ones of it."""
    return tuple(_finding(error) for error, _number in zip(errors, range(MOST_FINDINGS), strict=False))


def _finding(error: Mapping[str, Any]) -> Finding:
    source, *place = error["loc"]
    detail = SENTENCES.get(error["type"], OTHERWISE)
    if source == "body":
        inside = place[1:]  # the first part is the name of our own argument
        return Finding(detail, pointer="#" + "".join(f"/{_escaped(part)}" for part in inside))
    return Finding(detail, parameter=str(place[0]) if place else "")


def _escaped(part: str | int) -> str:
    return str(part)[:LONGEST_NAME].replace("~", "~0").replace("/", "~1")
