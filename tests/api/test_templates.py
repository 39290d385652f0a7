"""Templates through the API, and weeks that begin with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse

from habits import templates
from habits.models import HabitTemplate, Week
from tests.api.conftest import BLANK, WEEK, Person, problem, week_of
from tests.engine.waiting import InThread
from tests.habits.legacy_files import OWNER

APPLY = week_of(rest="/apply-template")
MORNING = {"name": "아침", "habits": [{"name": "물"}, {"name": "책 읽기"}]}

tables = pytest.mark.parametrize("installation", ["table"], indirect=True)


def said(response: HttpResponse) -> Any:
    assert response.status_code < 300, response.content
    return json.loads(response.content)


def make(person: Person, **given: Any) -> dict[str, Any]:
    made: dict[str, Any] = said(person.post("/api/templates", {**MORNING, **given}))
    return made


def times(response: HttpResponse) -> list[tuple[str, list[str]]]:
    return [(habit["name"], habit["times"]) for habit in said(response)["habits"]]


@tables
def test_a_template_is_made_listed_changed_and_deleted(parent: Person) -> None:
    response = parent.post("/api/templates", {**MORNING, "description": "날마다", "child": "달이", "is_default": True})
    made = said(response)
    path = f"/api/templates/{made['id']}"
    assert (response.status_code, response["Location"]) == (201, path)
    assert made == {
        "id": made["id"],
        "name": "아침",
        "description": "날마다",
        "habits": [{"name": "물"}, {"name": "책 읽기"}],
        "child": "달이",
        "is_default": True,
    }
    assert said(parent.get("/api/templates")) == [made]
    assert said(parent.get(path)) == made
    changed = said(parent.patch(path, {"name": "저녁", "child": None}))
    assert changed == {**made, "name": "저녁", "child": None}
    assert said(parent.patch(path, {"habits": [{"name": "양치"}]})) == {**changed, "habits": [{"name": "양치"}]}
    assert parent.delete(path).status_code == 204
    assert problem(parent.delete(path)) == (404, "not_found")
    assert said(parent.get("/api/templates")) == []


@tables
def test_another_familys_template_is_not_found_however_it_is_asked_for(parent: Person, stranger: Person) -> None:
    path = f"/api/templates/{make(parent)['id']}"
    template = path.rpartition("/")[2]
    assert said(stranger.get("/api/templates")) == []
    for response in (
        stranger.get(path),
        stranger.patch(path, {"name": "내 것"}),
        stranger.delete(path),
        stranger.post(APPLY, {"template_id": template}),
        parent.post(APPLY, {"template_id": str(uuid4())}),
        parent.get("/api/templates/none"),
        parent.get(f"/api/templates/{uuid4()}"),
    ):
        assert problem(response) == (404, "not_found")
    assert said(parent.get(path))["name"] == "아침"


@tables
def test_who_is_not_signed_in_gets_nothing(nobody: Person) -> None:
    for response in (
        nobody.get("/api/templates"),
        nobody.post("/api/templates", MORNING),
        nobody.post(APPLY, {"template_id": str(uuid4())}),
    ):
        assert problem(response) == (401, "not_signed_in")


@tables
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "가" * 201},
        {"name": 1},
        {"name": None},
        {"description": "가" * 10_001},
        {"description": "\x00"},
        {"habits": []},
        {"habits": ["물"]},
        {"habits": [{"name": " "}]},
        {"habits": [{"name": "물", "times": BLANK}]},
        {"habits": [{"name": "물"}] * 501},
        {"child": ""},
        {"child": 3},
        {"is_default": "yes"},
        {"user_id": str(OWNER)},
    ],
    ids=str,
)
def test_what_cannot_be_is_unprocessable_and_changes_nothing(parent: Person, wrong: dict[str, Any]) -> None:
    made = make(parent)
    assert problem(parent.post("/api/templates", {**MORNING, **wrong})) == (422, "invalid")
    assert problem(parent.patch(f"/api/templates/{made['id']}", wrong)) == (422, "invalid")
    assert said(parent.get("/api/templates")) == [made]


@tables
def test_more_templates_than_agreed_are_refused(parent: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_TEMPLATES", 1)
    make(parent)
    response = parent.post("/api/templates", MORNING)
    assert problem(response) == (422, "invalid")
    assert "템플릿" in json.loads(response.content)["errors"][0]["detail"]


@tables
def test_every_change_needs_a_key_and_is_made_once(parent: Person) -> None:
    assert problem(parent.post("/api/templates", MORNING, key=None)) == (400, "idempotency_key_missing")
    first, again = (parent.post("/api/templates", MORNING, key="k") for _ in range(2))
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    assert HabitTemplate.objects.count() == 1
    assert problem(parent.post("/api/templates", {**MORNING, "name": "저녁"}, key="k")) == (
        422,
        "idempotency_key_reused",
    )


def test_applying_begins_a_week_and_has_one_effect_a_key(parent: Person, stage: str) -> None:
    template = make(parent)["id"]
    first, again = (parent.post(APPLY, {"template_id": template}, key="k") for _ in range(2))
    assert first.status_code == 201
    assert first["Location"] == week_of()
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    read = parent.get(week_of())
    assert (read.content, read["ETag"]) == (first.content, first["ETag"])
    assert times(read) == [("물", BLANK), ("책 읽기", BLANK)]
    assert read["X-Served-From"] == first["X-Served-From"]
    noted = [str(found) for found in Week.objects.values_list("template_id", flat=True)]
    assert noted == ([] if stage == "off" else [template])


def test_replacing_has_to_be_said_and_appending_takes_nothing(parent: Person, stage: str) -> None:
    template = make(parent)["id"]
    before = said(parent.put(week_of(), WEEK))["habits"]
    refused, again = (parent.post(APPLY, {"template_id": template}, key="k") for _ in range(2))
    assert problem(refused) == problem(again) == (409, "would_overwrite")
    assert again["Idempotent-Replayed"] == "true"
    assert said(parent.get(week_of()))["habits"] == before
    appended = parent.post(APPLY, {"template_id": template, "mode": "append"})
    assert appended.status_code == 200
    assert said(appended)["habits"][:2] == before
    assert [name for name, _ in times(appended)] == ["아침 (6-9시) 양치", "책 읽기", "물"]
    parent.patch(week_of(rest="/marks"), {"marks": [{"position": 1, "day": 3, "status": "red"}]})
    replaced = parent.post(APPLY, {"template_id": template, "overwrite": True})
    assert times(replaced) == [("물", BLANK), ("책 읽기", [*BLANK[:3], "red", *BLANK[4:]])]
    assert said(replaced)["theme"] == WEEK["theme"]


@tables
def test_two_requests_with_one_key_at_once_apply_once(parent: Person) -> None:
    template = make(parent)["id"]
    send: Callable[[], HttpResponse] = lambda: parent.post(APPLY, {"template_id": template}, key="k")  # noqa: E731
    answers = [thread.outcome() for thread in [InThread(send) for _ in range(8)]]
    created = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in created}) == 1
    assert all(problem(other) == (409, "idempotency_key_in_use") for other in answers if other not in created)
    assert sum("Idempotent-Replayed" not in answer for answer in created) == 1


@tables
def test_the_week_that_was_seen_must_be_the_one_there_is(parent: Person) -> None:
    template = make(parent)["id"]
    body = {"template_id": template, "overwrite": True}
    tag = parent.put(week_of(), WEEK)["ETag"]
    assert problem(parent.post(APPLY, body, If_Match='"other"')) == (412, "changed")
    assert problem(parent.post(APPLY, body, If_None_Match="*")) == (412, "changed")
    assert parent.post(APPLY, body, If_Match=tag).status_code == 200


@tables
@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"template_id": "none"},
        {"template_id": 3},
        {"template_id": None},
        {"mode": "merge"},
        {"overwrite": 1},
        {"force": True},
    ],
    ids=str,
)
def test_what_cannot_be_applied_is_unprocessable(parent: Person, wrong: dict[str, Any]) -> None:
    body = {"template_id": make(parent)["id"], **wrong} if wrong else {}
    assert problem(parent.post(APPLY, body)) == (422, "invalid")
    assert problem(parent.get(week_of())) == (404, "not_found")


@tables
def test_a_template_of_another_child_or_a_day_that_is_none_is_unprocessable(parent: Person) -> None:
    body = {"template_id": make(parent, child="별이")["id"]}
    assert problem(parent.post(APPLY, body)) == (422, "invalid")
    assert parent.post(week_of("별이", rest="/apply-template"), body).status_code == 201
    for day in ("1999-01-01", "2025-02-30", "today"):
        assert problem(parent.post(week_of("별이", day, "/apply-template"), body)) == (422, "invalid")
