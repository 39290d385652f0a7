"""What another family has does not exist: the same answer, byte by byte, as for what nobody has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import WEEK, Person, marks, week_of

CALLS: dict[str, Callable[[Person, str], Any]] = {
    "weeks": lambda who, child: who.get(f"/api/children/{child}/weeks"),
    "read": lambda who, child: who.get(week_of(child)),
    "stats": lambda who, child: who.get(f"/api/children/{child}/stats"),
    "marks": lambda who, child: who.patch(week_of(child, rest="/marks"), marks((0, 0, "red"))),
    "delete": lambda who, child: who.delete(week_of(child)),
    "replace": lambda who, child: who.put(week_of(child), WEEK, If_Match="*"),
}


def seen(response: Any) -> tuple[Any, ...]:
    ignored = ("Content-Length",)
    headers = {name: value for name, value in response.items() if name not in ignored}
    return response.status_code, response.content, headers


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_child_of_another_family_is_nobody(
    parent: Person, stranger: Person, stage: str, call: Callable[[Person, str], Any]
) -> None:
    parent.put(week_of("hers"), WEEK)
    before = parent.get(week_of("hers")).content
    theirs, nobodys = call(stranger, "hers"), call(stranger, "none")
    assert theirs.status_code in (404, 412)
    assert seen(theirs) == seen(nobodys)
    assert parent.get(week_of("hers")).content == before


def test_a_family_sees_its_own_children_only(parent: Person, stranger: Person, stage: str) -> None:
    parent.put(week_of("hers"), WEEK)
    assert stranger.get("/api/children").content == b"[]"


def test_two_families_may_have_a_child_of_one_name(parent: Person, stranger: Person, stage: str) -> None:
    parent.put(week_of(), WEEK)
    assert stranger.put(week_of(), {"theme": "산", "habits": []}).status_code == 201
    assert stranger.delete(week_of()).status_code == 204
    assert parent.get(week_of()).status_code == 200
