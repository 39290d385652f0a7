"""The OpenAPI document is the truth: requests made from it, valid and not, are answered as it says, never by 500."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from habits.api import api
from tests.api.conftest import WEEK, Person, week_of
from tests.families.conftest import Installation
from tests.habits.legacy_files import OWNER

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CSRF = "c" * 32
EXAMPLES = 25

schema = schemathesis.openapi.from_dict(api.get_openapi_schema(path_prefix="/api/"))
schema.app = get_wsgi_application()


@pytest.fixture
def cookies(table: Installation) -> dict[str, str]:
    """Of a family at a stage at which both stores are written; it has the week that half of the requests are about."""
    table.reach("dual_write")
    parent = Person(OWNER)
    parent.put(week_of(), WEEK)
    return {"sessionid": parent.client.cookies["sessionid"].value, "csrftoken": CSRF}


@pytest.mark.parametrize("known", [False, True], ids=["any address", "a week that is there"])
@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_requests_made_from_the_document_are_answered_as_it_says(
    case: Any, known: bool, cookies: dict[str, str]
) -> None:
    if known and "name" in case.path_parameters:
        case.path_parameters |= {"name": "달이"} | ({"day": "2025-07-21"} if "day" in case.path_parameters else {})
    response = case.call(cookies=cookies, headers={"X-CSRFToken": CSRF})
    case.validate_response(response, checks=CHECKS)


def test_the_document_has_every_call_with_its_key_and_its_errors() -> None:
    document = api.get_openapi_schema(path_prefix="/api/")
    calls = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert {
        ("GET", "/api/children"),
        ("GET", "/api/children/{name}/weeks"),
        ("GET", "/api/children/{name}/weeks/{day}"),
        ("PUT", "/api/children/{name}/weeks/{day}"),
        ("PATCH", "/api/children/{name}/weeks/{day}/marks"),
        ("DELETE", "/api/children/{name}/weeks/{day}"),
        ("GET", "/api/children/{name}/stats"),
    } <= calls
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            keys = [each for each in call["parameters"] if each["name"] == "Idempotency-Key"]
            assert bool(keys) is (method != "get"), (method, path)
            days = [each["schema"] for each in call["parameters"] if each["name"] == "day"]
            assert all(schema["format"] == "date" for schema in days), (method, path)
            assert all("application/problem+json" in call["responses"][status]["content"] for status in (401, 503))


def test_the_document_and_its_pages_need_no_session_and_no_other_server(client: Any) -> None:
    assert client.get("/api/openapi.json").json()["openapi"].startswith("3.")
    page = client.get("/api/docs").content.decode()
    assert "http://" not in page
    assert "https://" not in page
    scripts = [part.partition(">")[0] for part in page.split("<script")[1:]]
    assert all("src=" in script or 'type="application/json"' in script for script in scripts), scripts
    assert "style=" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui-init.js", "swagger-ui.css"):
        response = client.get(f"/static/ninja/{asset}")
        response.close()
        assert response.status_code == 200, asset
