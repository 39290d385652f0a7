"""`/healthz` and `/readyz`, for load balancers and supervisors: open to everybody, and silent about machines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import resolve
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from health_check.base import HealthCheck, HealthCheckResult
from health_check.views import HealthCheckView

from migration_ops.health import checks
from migration_ops.health.checks import Check, Unknown

PATHS = frozenset({"/healthz", "/readyz"})


@cache_control(no_store=True)
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers, and asks nobody: to restart it because the database is away makes a second outage."""
    return JsonResponse({"status": "ok"})


class Readiness(HealthCheckView):
    """Whether this process should get requests: 200 for `ready` and `degraded`, 503 for `unavailable`."""

    http_method_names = ["get", "head"]

    def get_checks(self) -> Iterator[HealthCheck]:
        yield from checks.checks()

    async def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        results = await asyncio.gather(*(check.get_result() for check in self.get_checks()))
        failed = [result.check for result in results if result.error]
        if any(check.required for check in failed):
            status, code = "unavailable", HTTPStatus.SERVICE_UNAVAILABLE
        else:
            status, code = "degraded" if failed else "ready", HTTPStatus.OK
        return JsonResponse(
            {"status": status, "checks": {result.check.name: _line(result) for result in results}}, status=code
        )


def _line(result: HealthCheckResult) -> dict[str, Any]:
    check: Check = result.check
    line: dict[str, Any] = {"status": "ok", "required": check.required}
    if check.age is not None:
        line["age_seconds"] = round(check.age, 1)
    if result.error:
        line["status"] = "unknown" if isinstance(result.error, Unknown) else "failed"
        line["message"] = result.error.message
    return line


class ProbesFirst:
    """Put it first: it answers probes before anything asks for which host they are meant.

    They come to the address of a machine or container, which `ALLOWED_HOSTS` does not know.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info not in PATHS:
            return self._get_response(request)
        view = resolve(request.path_info).func
        answer: HttpResponseBase = async_to_sync(view)(request) if asyncio.iscoroutinefunction(view) else view(request)
        return answer
