"""The JSON API of families. A router is one noun; each is added here, and nowhere else.

Every call runs through the same gates: `admission` lets families in, `strict_json` reads what they send, `idempotency`
sees to it that a change is made once, and `errors` answers whatever goes wrong.
"""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from habits.api import boards, notifications, openapi, templates
from habits.api.admission import FamilySession
from habits.api.errors import handle_errors
from habits.api.strict_json import StrictParser


class FamilyApi(NinjaAPI):
    """ninja's, with an OpenAPI document that also says what all calls have in common."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        document = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        openapi.complete(document)
        return document


api = FamilyApi(
    title="Habit boards",
    version="1",
    urls_namespace="api",
    auth=FamilySession(),
    parser=StrictParser(),
)
handle_errors(api)
api.add_router("", boards.router)
api.add_router("", templates.router)
api.add_router("", notifications.router)
