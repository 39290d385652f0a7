"""Weeks through the API: what is sent, what comes back, from either store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from habits.migration import boards
from migration_ops.verify.validation import validate
from tests.api.conftest import BLANK, WEEK, Person, marks, problem, week_of
from tests.families.conftest import Installation

WHOLE = (
    '{"child":"달이","week_start":"2025-07-21","week_end":"2025-07-27","theme":"바다","reward":"수영",'
    '"reflection":{"bestDay":"월","easiestHabit":"","nextWeekGoal":"더"},"habits":['
    '{"position":0,"name":"아침 (6-9시) 양치","time_period":"아침 (6-9시)",'
    '"times":["green","yellow","red","none","none","none","green"]},'
    '{"position":1,"name":"책 읽기","time_period":"","times":["none","none","none","none","none","none","none"]}],'
    '"score":2,"max_score":14}'
)


def test_a_week_is_made_read_marked_replaced_and_deleted(parent: Person, stage: str) -> None:
    made = parent.put(week_of(day="2025-07-24"), WEEK)
    assert (made.status_code, made.content.decode()) == (201, WHOLE)
    assert made["Location"] == week_of()
    read = parent.get(week_of(day="2025-07-27"))
    assert (read.status_code, read.content) == (200, made.content)
    marked = parent.patch(week_of(rest="/marks"), marks((1, 6, "green"), (0, 0, "none")))
    assert marked.status_code == 200
    assert [habit["times"] for habit in json.loads(marked.content)["habits"]] == [
        ["none", "yellow", "red", "none", "none", "none", "green"],
        [*BLANK[:6], "green"],
    ]
    replaced = parent.put(week_of(), {"habits": [{"name": "물", "times": BLANK}]})
    assert replaced.status_code == 200
    assert json.loads(replaced.content)["theme"] == ""
    assert parent.delete(week_of()).status_code == 204
    assert problem(parent.get(week_of())) == (404, "not_found")


def test_the_bytes_are_the_same_and_the_headers_say_which_store_it_was(parent: Person, stage: str) -> None:
    parent.put(week_of(), WEEK)
    response = parent.get(week_of())
    assert response.content.decode() == WHOLE
    served = {"off": "legacy stage", "dual_write": "legacy stage", "ramp": "modern bucket", "live": "modern stage"}
    assert f"{response['X-Served-From']} {response['X-Served-Reason']}" == served[stage]
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    "path", ["/api/children", week_of(), week_of()[: -len("/2025-07-21")], "/api/templates", "/api/notifications"]
)
def test_head_is_answered_as_get_without_the_content(parent: Person, path: str) -> None:
    parent.put(week_of(), WEEK)
    read, asked = parent.get(path), parent.send("HEAD", path, key=None)
    assert (asked.status_code, asked.content) == (200, b"")
    assert {name: asked[name] for name in read.headers} == dict(read.headers)
    assert read.content


def test_the_tag_does_not_depend_on_the_store(parent: Person, installation: Installation, settings: Any) -> None:
    installation.reach("ramp")
    parent.put(week_of(), WEEK)
    tags = set()
    for pinned in ("legacy", "modern"):
        settings.DATA_BACKEND = pinned
        response = parent.get(week_of())
        assert (response["X-Served-From"], response["X-Served-Reason"]) == (pinned, "pin")
        tags.add(response["ETag"])
    assert len(tags) == 1
    assert tags.pop().startswith('"')


def test_children_weeks_and_statistics(parent: Person, stage: str) -> None:
    parent.put(week_of(), WEEK)
    parent.put(week_of(day="2025-08-04"), {"theme": "산", "habits": [{"name": "물", "times": ["green", *BLANK[1:]]}]})
    parent.put(week_of("별이"), {"habits": []})
    assert parent.get("/api/children").content.decode() == (
        '[{"name":"달이","weeks":2,"first_week":"2025-07-21","last_week":"2025-08-04"},'
        '{"name":"별이","weeks":1,"first_week":"2025-07-21","last_week":"2025-07-21"}]'
    )
    assert parent.get("/api/children/%EB%8B%AC%EC%9D%B4/weeks").content.decode() == (
        '[{"week_start":"2025-07-21","theme":"바다","score":2,"max_score":14},'
        '{"week_start":"2025-08-04","theme":"산","score":1,"max_score":7}]'
    )
    stats = json.loads(parent.get("/api/children/%EB%8B%AC%EC%9D%B4/stats?weeks=1").content)
    assert [week["week_start"] for week in stats["weeks"]] == ["2025-08-04"]
    assert stats["weekdays"][0] == {"day": 0, "green": 1, "yellow": 0, "red": 0, "none": 0, "score": 1}
    stats = json.loads(parent.get("/api/children/%EB%8B%AC%EC%9D%B4/stats").content)
    assert stats["weekdays"][0] == {"day": 0, "green": 2, "yellow": 0, "red": 0, "none": 1, "score": 2}
    assert stats["weeks"][0]["days"][1] == {"day": 1, "green": 0, "yellow": 1, "red": 0, "none": 1, "score": 0}


@pytest.mark.parametrize("name", ["민수/지민", "..", "a.b", "👨‍👩‍👧‍👦", "x" * 100, "두 줄\n이름", "?#&%41", "<b>"])
def test_any_name_can_be_written_in_an_address(parent: Person, name: str) -> None:
    assert parent.put(week_of(name), WEEK).status_code == 201
    assert json.loads(parent.get(week_of(name)).content)["child"] == name
    assert [child["name"] for child in json.loads(parent.get("/api/children").content)] == [name]


def test_names_are_the_same_however_they_are_composed(parent: Person) -> None:
    parent.put(week_of("\u1103\u1161\u11af\u110b\u1175"), WEEK)
    assert parent.get(week_of(" 달이 ")).content.decode() == WHOLE


@pytest.mark.parametrize("name", ["%00", "%0A", "x" * 101, "a%00b", "%20"])
def test_what_is_no_name_is_nobody(parent: Person, name: str) -> None:
    path = f"/api/children/{name}/weeks/2025-07-21"
    assert problem(parent.get(path)) == (404, "not_found")
    assert problem(parent.get(f"/api/children/{name}/weeks")) == (404, "not_found")
    assert problem(parent.delete(path)) == (404, "not_found")
    assert problem(parent.patch(f"{path}/marks", marks((0, 0, "red")))) == (404, "not_found")
    unwritable = (404, "not_found") if "%00" in name else (422, "invalid")
    assert problem(parent.put(path, WEEK)) == unwritable


def test_a_name_that_is_no_utf_8_is_the_name_it_is_written_as(parent: Person) -> None:
    assert problem(parent.get("/api/children/%FF/weeks")) == (404, "not_found")
    assert parent.put("/api/children/%FF/weeks/2025-07-21", WEEK).status_code == 201
    assert json.loads(parent.get("/api/children").content)[0]["name"] == "%FF"


def test_an_address_longer_than_any_name_is_nobody(parent: Person) -> None:
    path = f"/api/children/{'x' * 5000}/weeks/2025-07-21"
    assert problem(parent.put(path, WEEK)) == (404, "not_found")


@pytest.mark.parametrize(
    "day", ["2025-02-30", "1999-12-31", "2101-01-03", "1753401600", "20250721", "today", "9999-12-31"]
)
def test_what_is_no_day_is_no_week(parent: Person, day: str) -> None:
    assert problem(parent.get(week_of(day=day))) == (404, "not_found")
    assert problem(parent.delete(week_of(day=day))) == (404, "not_found")
    assert problem(parent.put(week_of(day=day), WEEK)) == (422, "invalid")


def test_both_stores_have_what_was_sent(parent: Person, installation: Installation) -> None:
    installation.reach("dual_write")
    parent.put(week_of(), WEEK)
    parent.patch(week_of(rest="/marks"), marks((1, 6, "green")))
    found = validate(boards, actor="test")
    assert found.complete, found.reasons
    assert (found.tally.differences, found.tally.matched) == (0, 1)
