"""Reads the JSON of a request strictly: what could be read in two ways is refused."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from ninja.parser import Parser

from habits.api import problems
from habits.api.problems import Finding, ProblemRaised
from habits.stores.exact_json import UnreadableJson, decode_strict

DEEPEST = 32
"""Objects and arrays within each other; what we take needs four."""

_STRING = r'"(?:[^"\\]+|\\.)*+"?'
"""Its end may be missing, so that a text of quotation marks is read once and not once for each of them."""

_BRACKETS = re.compile(rf"{_STRING}|[\[\]{{}}]", flags=re.DOTALL)
_CONSTANT = re.compile(rf"{_STRING}|(-?Infinity|NaN)", flags=re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class StrictParser(Parser):
    """Refuses duplicate keys, NaN, halves of surrogate pairs, depth bombs, and all that is not JSON in UTF-8."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The value of the content.

        Raises:
            ProblemRaised: 415 for another type of content, 400 for no JSON, 422 for JSON that is ambiguous.
        """
        if not _is_json(request):
            raise ProblemRaised(problems.UNSUPPORTED_TYPE)
        return parse(request.body)


def parse(content: bytes) -> Any:
    """The value of this JSON text; raises as `StrictParser.parse_body`."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ProblemRaised(problems.MALFORMED_JSON) from None
    if _is_too_deep(text):
        _refuse(_("This is nested too deeply."))
    try:
        value = decode_strict(text)
    except UnreadableJson as error:
        if error.code == "duplicate_key":
            _refuse(_("A key stands twice in one object."))
        if error.code or any(_CONSTANT.findall(text)):
            _refuse(_("There is a number that cannot be."))
        raise ProblemRaised(problems.MALFORMED_JSON) from None
    if _has_half_a_pair(value):
        _refuse(_("The text contains a character that cannot be stored."))
    return value


def _refuse(detail: Any) -> NoReturn:
    raise ProblemRaised(problems.INVALID, (Finding(detail),)) from None


def _is_json(request: HttpRequest) -> bool:
    charset = (request.content_params or {}).get("charset", "utf-8")
    return request.content_type == "application/json" and charset.lower() in ("utf-8", "utf8")


def _is_too_deep(text: str) -> bool:
    depth = 0
    for found in _BRACKETS.findall(text):
        if found in "[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif found in "]}":
            depth -= 1
    return False


def _has_half_a_pair(value: Any) -> bool:
    match value:
        case str():
            return _SURROGATE.search(value) is not None
        case list():
            return any(map(_has_half_a_pair, value))
        case dict():
            return any(_has_half_a_pair(name) or _has_half_a_pair(inner) for name, inner in value.items())
    return False
