"""Everything that can be wrong with a request, as data: the status, a name for programs, a sentence for people.

An answer that is an error is `application/problem+json` (RFC 9457), whatever raised it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

CONTENT_TYPE = "application/problem+json"

TITLES: Mapping[int, Promise | str] = {
    400: _("Bad request"),
    401: _("Not signed in"),
    403: _("Forbidden"),
    404: _("Not found"),
    405: _("Method not allowed"),
    409: _("Conflict"),
    412: _("Precondition failed"),
    413: _("Content too large"),
    415: _("Unsupported media type"),
    422: _("Unprocessable content"),
    429: _("Too many requests"),
    500: _("Internal error"),
    503: _("Service unavailable"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error.

    Attributes:
        code: for programs; never translated.
        detail: what is wrong, and what to do.
        retry_after: seconds after which the same request may succeed; None where waiting does not help.
    """

    status: int
    code: str
    detail: Promise | str
    retry_after: int | None = None


NOT_SIGNED_IN = Problem(401, "not_signed_in", _("Sign in first."))
CSRF_FAILED = Problem(403, "csrf_failed", _("The CSRF token is missing or wrong. Reload the page and try again."))
NOT_FOUND = Problem(404, "not_found", _("There is nothing under this address."))
METHOD_NOT_ALLOWED = Problem(405, "method_not_allowed", _("This address does not know that method."))
TOO_LARGE = Problem(413, "too_large", _("The request is larger than 1 MB."))
UNSUPPORTED_TYPE = Problem(415, "unsupported_type", _("Send JSON: Content-Type: application/json, in UTF-8."))
MALFORMED_JSON = Problem(400, "malformed_json", _("The content is not JSON in UTF-8."))
INVALID = Problem(422, "invalid", _("The request says something that cannot be."))
TOO_MANY_REQUESTS = Problem(429, "too_many_requests", _("Too many requests. Wait a moment."))
BAD_REQUEST = Problem(400, "bad_request", _("The request cannot be understood."))
FORBIDDEN = Problem(403, "forbidden", _("This is not allowed."))
KEY_MISSING = Problem(400, "idempotency_key_missing", _("Send an Idempotency-Key, a new one for each change."))
KEY_MALFORMED = Problem(
    400, "idempotency_key_malformed", _("An Idempotency-Key has 1 to 255 visible ASCII characters.")
)
KEYS_DIFFER = Problem(400, "idempotency_keys_differ", _("Idempotency-Key and X-Idempotency-Key say different things."))
KEY_IN_USE = Problem(
    409, "idempotency_key_in_use", _("A request with this Idempotency-Key is still being answered."), retry_after=1
)
KEY_REUSED = Problem(422, "idempotency_key_reused", _("This Idempotency-Key was used for another request."))
ONLY_ANY = Problem(400, "only_any", _("With a change, If-None-Match can only be *."))
CHANGED = Problem(412, "changed", _("The week has changed in the meantime. Load it again."))
HELD = Problem(
    409, "held", _("A row of this week waits for a person to decide about it. Until then it cannot be changed.")
)
HELD_FROM_SIGHT = Problem(
    404, HELD.code, _("This week is there, but a row of it waits for a person to decide. Until then it is not shown.")
)
WOULD_OVERWRITE = Problem(
    409,
    "would_overwrite",
    _("The week has habits already. Say overwrite to replace them, or append what is missing."),
)
BUSY = Problem(503, "busy", _("Somebody else is changing this just now. Try again in a moment."), retry_after=1)
UNAVAILABLE = Problem(503, "unavailable", _("The data is out of reach just now. Try again soon."), retry_after=5)
FAULT = Problem(500, "fault", _("Something is wrong on our side. We have been told."))

BY_STATUS: Mapping[int, Problem] = {
    problem.status: problem
    for problem in (
        BAD_REQUEST,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        TOO_LARGE,
        UNSUPPORTED_TYPE,
        INVALID,
        TOO_MANY_REQUESTS,
        UNAVAILABLE,
        FAULT,
    )
}
"""What an error amounts to of which only the status is known."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a request that cannot be.

    Attributes:
        detail: a sentence.
        pointer: where in the JSON content, e.g. `#/habits/0/name` (RFC 6901).
        parameter: or which parameter of the address.
    """

    detail: Promise | str
    pointer: str = ""
    parameter: str = ""

    def as_json(self) -> dict[str, str]:
        place = {"pointer": self.pointer} if self.pointer else {"parameter": self.parameter} if self.parameter else {}
        return {"detail": str(self.detail), **place}


class ProblemRaised(Exception):
    """The request is answered with this problem."""

    def __init__(
        self, problem: Problem, findings: Iterable[Finding] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.findings = tuple(findings)
        self.headers = headers


def answer(
    request: HttpRequest, problem: Problem, findings: Iterable[Finding] = (), headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """The problem as an answer, in the language the request asks for."""
    language = translation.get_language_from_request(request)
    with translation.override(language):
        said: dict[str, Any] = {
            "type": "about:blank",
            "title": str(TITLES[problem.status]),
            "status": problem.status,
            "detail": str(problem.detail),
            "code": problem.code,
        }
        errors = [finding.as_json() for finding in findings]
    if errors:
        said["errors"] = errors
    response = HttpResponse(
        json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(),
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", "Content-Language": language, **(headers or {})},
    )
    if problem.retry_after is not None:
        response["Retry-After"] = str(problem.retry_after)
    return response
