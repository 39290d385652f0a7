"""Conditional requests: a client neither loads what it has nor writes over what it has not seen."""

from __future__ import annotations

import pytest

from tests.api.conftest import WEEK, Person, marks, problem, week_of
from tests.families.conftest import Installation

OTHER = '"somethingelse"'


@pytest.fixture
def installation(table: Installation) -> Installation:
    return table


@pytest.fixture
def tag(parent: Person) -> str:
    """Of the week that is there."""
    return str(parent.put(week_of(), WEEK)["ETag"])


@pytest.mark.parametrize("header", ["{}", "W/{}", '"x", {}', "*"])
def test_what_is_known_is_not_sent_again(parent: Person, tag: str, header: str) -> None:
    response = parent.get(week_of(), If_None_Match=header.format(tag))
    assert (response.status_code, response.content, response["ETag"]) == (304, b"", tag)
    assert "X-Served-From" in response
    assert response["Cache-Control"] == "private, no-cache"


def test_what_has_changed_is_sent(parent: Person, tag: str) -> None:
    changed = parent.patch(week_of(rest="/marks"), marks((0, 0, "red")))
    assert changed["ETag"] != tag
    response = parent.get(week_of(), If_None_Match=tag)
    assert (response.status_code, response["ETag"]) == (200, changed["ETag"])


@pytest.mark.parametrize("header", ["{}", '"x", {}', "*"])
def test_a_change_to_what_was_seen_is_made(parent: Person, tag: str, header: str) -> None:
    header = header.format(tag)
    assert parent.put(week_of(), WEEK, If_Match=header).status_code == 200
    assert parent.delete(week_of(), If_Match=header).status_code == 204


@pytest.mark.parametrize("header", [OTHER, "W/{}", "unquoted", "", '"a", "b"'])
def test_a_change_to_something_else_is_not(parent: Person, tag: str, header: str) -> None:
    header = header.format(tag)
    for response in (
        parent.put(week_of(), {"habits": []}, If_Match=header),
        parent.patch(week_of(rest="/marks"), marks((0, 0, "red")), If_Match=header),
        parent.delete(week_of(), If_Match=header),
    ):
        assert problem(response) == (412, "changed")
    assert parent.get(week_of())["ETag"] == tag


def test_a_week_can_be_made_only_where_there_is_none(parent: Person) -> None:
    assert parent.put(week_of(), WEEK, If_None_Match="*").status_code == 201
    for response in (
        parent.put(week_of(), {"habits": []}, If_None_Match="*"),
        parent.patch(week_of(rest="/marks"), marks((0, 0, "red")), If_None_Match="*"),
        parent.delete(week_of(), If_None_Match="*"),
    ):
        assert problem(response) == (412, "changed")


@pytest.mark.parametrize("header", ["*", OTHER])
def test_a_week_that_is_gone_is_not_made_again(parent: Person, header: str) -> None:
    assert problem(parent.put(week_of(), WEEK, If_Match=header)) == (412, "changed")
    assert problem(parent.get(week_of())) == (404, "not_found")


def test_tags_with_a_change_that_must_not_match_are_refused(parent: Person, tag: str) -> None:
    assert problem(parent.put(week_of(), WEEK, If_None_Match=tag)) == (400, "only_any")
