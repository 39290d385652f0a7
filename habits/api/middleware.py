"""Answers everything that goes wrong under `/api/` as a problem, wherever in the stack it went wrong."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from habits.api import problems
from habits.api.admission import LARGEST
from habits.too_much import throw_away

PREFIX = "/api/"


class ApiErrors:
    """Refuses content that is too large before anybody reads it, and puts what the framework itself refuses (unknown
    addresses, wrong methods, forged hosts) into our form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self._get_response(request)
        if _length(request) > LARGEST:
            throw_away(request)
            return problems.answer(request, problems.TOO_LARGE)
        response = self._get_response(request)
        if response.status_code < 400 or response.get("Content-Type") == problems.CONTENT_TYPE:
            return response
        found = problems.BY_STATUS.get(response.status_code, problems.BAD_REQUEST)
        answer = problems.answer(request, found)
        for name, value in response.items():
            if not name.startswith("Content-"):
                answer.setdefault(name, value)
        return answer


def _length(request: HttpRequest) -> int:
    said = request.META.get("CONTENT_LENGTH") or "0"
    return int(said) if said.isdigit() else 0
