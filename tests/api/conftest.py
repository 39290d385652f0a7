"""People with an account and a session, and the requests they make."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.http import HttpResponse
from django.test import Client

from habits.models import User
from tests.families.conftest import (  # noqa: F401 - fixtures of this folder, too
    STAGES,
    Installation,
    file,
    installation,
    table,
    uncaptured,
)
from tests.habits.legacy_files import OTHER, OWNER

BLANK = ["none"] * 7
WEEK = {
    "theme": "바다",
    "reward": "수영",
    "reflection": {"bestDay": "월", "easiestHabit": "", "nextWeekGoal": "더"},
    "habits": [
        {"name": "아침 (6-9시) 양치", "times": ["green", "yellow", "red", "none", "none", "none", "green"]},
        {"name": "책 읽기", "times": BLANK},
    ],
}


def week_of(child: str = "달이", day: str = "2025-07-21", rest: str = "") -> str:
    return f"/api/children/{quote(child, safe='')}/weeks/{day}{rest}"


def marks(*cells: tuple[int, int, str]) -> dict[str, Any]:
    return {"marks": [{"position": position, "day": day, "status": status} for position, day, status in cells]}


class Person:
    """Somebody with a session. A change is sent with a fresh key unless the test gives one; `key=None` sends none."""

    def __init__(self, user: UUID | None) -> None:
        self.client = Client()
        if user is not None:
            self.client.force_login(User.objects.get(pk=user))

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.send("GET", path, key=None, **headers)

    def put(self, path: str, value: Any, key: str | None = "", **headers: str) -> HttpResponse:
        return self.send("PUT", path, json.dumps(value), key=key, **headers)

    def patch(self, path: str, value: Any, key: str | None = "", **headers: str) -> HttpResponse:
        return self.send("PATCH", path, json.dumps(value), key=key, **headers)

    def post(self, path: str, value: Any = None, key: str | None = "", **headers: str) -> HttpResponse:
        """Without a value nothing is sent."""
        return self.send("POST", path, b"" if value is None else json.dumps(value), key=key, **headers)

    def delete(self, path: str, key: str | None = "", **headers: str) -> HttpResponse:
        return self.send("DELETE", path, key=key, **headers)

    def send(
        self,
        method: str,
        path: str,
        content: str | bytes = b"",
        *,
        key: str | None = "",
        content_type: str = "application/json",
        **headers: str,
    ) -> HttpResponse:
        """Headers are written with underscores."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            said["Idempotency-Key"] = key or str(uuid.uuid4())
        response: HttpResponse = self.client.generic(method, path, content, content_type=content_type, headers=said)
        return response


@pytest.fixture
def parent(installation: Installation) -> Person:  # noqa: F811
    """Of the family that the tests' legacy rows belong to, in either kind of installation."""
    return Person(OWNER)


@pytest.fixture
def stranger(installation: Installation) -> Person:  # noqa: F811
    """Of another family."""
    return Person(OTHER)


@pytest.fixture
def nobody(installation: Installation) -> Person:  # noqa: F811
    """Without a session."""
    return Person(None)


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, installation: Installation) -> str:  # noqa: F811
    installation.reach(request.param)
    return str(request.param)


def problem(response: HttpResponse) -> tuple[int, str]:
    """Status and code of an answer that is an error, in the right form."""
    assert response["Content-Type"] == "application/problem+json", (response.status_code, response.content)
    said = json.loads(response.content)
    assert set(said) - {"errors"} == {"type", "title", "status", "detail", "code"}
    assert said["status"] == response.status_code
    return response.status_code, said["code"]
