"""What families are told, through the API."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse

from habits.models import Notification
from tests.api.conftest import Person, problem, week_of
from tests.habits.legacy_files import OTHER, OWNER

PATH = "/api/notifications"

tables = pytest.mark.parametrize("installation", ["table"], indirect=True)


def said(response: HttpResponse) -> Any:
    assert response.status_code == 200, response.content
    return json.loads(response.content)


def tell(title: str, owner: Any = OWNER) -> str:
    return str(Notification.objects.create(user_id=owner, type="mention", title=title, metadata={"by": "달이"}).pk)


def test_an_all_green_week_is_told_and_can_be_read(parent: Person, stage: str) -> None:
    week = {"habits": [{"name": "물", "times": ["green"] * 7}]}
    for _ in range(2):
        assert parent.put(week_of(), week, key="k").status_code == 201
    listed = said(parent.get(PATH))
    (item,) = listed["items"]
    assert (listed["unread"], listed["next"]) == (1, None)
    assert {**item, "id": "", "title": "", "message": "", "created_at": ""} == {
        "id": "",
        "type": "achievement",
        "title": "",
        "message": "",
        "link_url": week_of().removeprefix("/api") + "/",
        "metadata": {"child": "달이", "week": "2025-07-21", "habits": 1, "score": 7},
        "is_read": False,
        "created_at": "",
    }
    path = f"{PATH}/{item['id']}/read"
    assert said(parent.post(path)) == said(parent.post(path)) == {**item, "is_read": True}
    assert said(parent.get(PATH)) == {"items": [{**item, "is_read": True}], "unread": 0, "next": None}


@tables
def test_pages_follow_each_other(parent: Person) -> None:
    ids = [tell(str(number)) for number in range(5)]
    first = said(parent.get(f"{PATH}?limit=3"))
    assert [item["id"] for item in first["items"]] == ids[:1:-1]
    assert (first["unread"], first["next"]) == (5, ids[2])
    last = said(parent.get(f"{PATH}?limit=3&before={first['next']}"))
    assert ([item["id"] for item in last["items"]], last["next"]) == (ids[1::-1], None)


@tables
def test_another_familys_message_is_not_found(parent: Person) -> None:
    theirs = tell("남의", OTHER)
    assert said(parent.get(PATH)) == {"items": [], "unread": 0, "next": None}
    for response in (
        parent.post(f"{PATH}/{theirs}/read"),
        parent.post(f"{PATH}/{uuid4()}/read"),
        parent.post(f"{PATH}/none/read"),
        parent.get(f"{PATH}?before={theirs}"),
    ):
        assert problem(response) == (404, "not_found")
    assert not Notification.objects.get(pk=theirs).is_read


@tables
def test_what_cannot_be_asked_for_is_unprocessable(parent: Person) -> None:
    for query in ("limit=0", "limit=101", "limit=x", "before=x"):
        assert problem(parent.get(f"{PATH}?{query}")) == (422, "invalid")


@tables
def test_reading_needs_a_session_and_a_key(parent: Person, nobody: Person) -> None:
    path = f"{PATH}/{tell('하나')}/read"
    assert problem(parent.post(path, key=None)) == (400, "idempotency_key_missing")
    assert problem(nobody.post(path)) == (401, "not_signed_in")
    assert problem(parent.get(path)) == (405, "method_not_allowed")
    assert said(parent.get(PATH))["unread"] == 1
