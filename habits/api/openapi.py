"""What the OpenAPI document says of every call, beyond what the routes declare."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from habits.api import problems, schemas
from habits.api.idempotency import HEADERS

CHANGES = ("post", "put", "patch", "delete")

ERRORS = (401, 404, 422, 429, 500, 503)
"""Which every call may be answered with; a change also with those below."""

ERRORS_OF_CHANGES = (400, 403, 409, 412, 413, 415)

KEY = {
    "in": "header",
    "name": HEADERS[0],
    "description": f"new for each change, the same when it is sent again; {HEADERS[1]} is the same header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "required": True,
}
CSRF = {
    "in": "header",
    "name": "X-CSRFToken",
    "description": "the value of the cookie `csrftoken`",
    "schema": {"type": "string"},
    "required": False,
}
IN_ADDRESSES = {"day": {"format": "date"}, "name": {"minLength": 1}}
"""What is known of a part of an address beyond its type."""

CONDITIONS = tuple(
    {"in": "header", "name": name, "description": meaning, "schema": {"type": "string"}, "required": False}
    for name, meaning in (
        ("If-Match", "make the change only if the week still has one of these tags"),
        ("If-None-Match", "with GET: answer 304 if the week has this tag; with a change `*`: only if there is no week"),
    )
)


def complete(document: dict[str, Any]) -> None:
    """Add the headers of a change and the answers that are errors to each call of the document."""
    schema = schemas.ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= {**schema.pop("$defs"), "ProblemOut": schema}
    for methods in document["paths"].values():
        methods.pop("head", None)  # as GET, without content: RFC 9110 says all there is to say
    for path, method, call in _calls(document):
        changes = method in CHANGES
        for parameter in call["parameters"]:
            if parameter["in"] == "path":
                parameter["schema"] |= IN_ADDRESSES.get(parameter["name"], {})
        call["parameters"] += [KEY, CSRF] if changes else []
        if "/weeks/{" in path:
            call["parameters"] += CONDITIONS if changes else CONDITIONS[1:]
        for status in sorted((*ERRORS, *(ERRORS_OF_CHANGES if changes else ()))):
            call["responses"][status] = _problem(status)


def _calls(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            yield path, method, call


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {problems.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
    }
