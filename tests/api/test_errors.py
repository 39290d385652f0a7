"""Whatever is wrong with a request, the answer says so in one form, and never how the server is made."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from habits.migration import boards
from habits.models import User
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.sync import applier
from tests.api.conftest import BLANK, WEEK, Person, marks, problem, week_of
from tests.engine.syncing import run, second_connection
from tests.families.conftest import Installation
from tests.habits.legacy_database import row
from tests.habits.legacy_files import OWNER


@pytest.fixture
def installation(table: Installation) -> Installation:
    return table


def errors(response: Any) -> list[tuple[str, str]]:
    return [(error.get("pointer", ""), error["detail"]) for error in json.loads(response.content)["errors"]]


WRONG = {
    "unknown field": ({**WEEK, "color": 1}, "#/color"),
    "owner": ({**WEEK, "owner": str(uuid.uuid4())}, "#/owner"),
    "child": ({**WEEK, "child": "별이"}, "#/child"),
    "id of a habit": ({"habits": [{"id": 1, "name": "물", "times": BLANK}]}, "#/habits/0/id"),
    "position of a habit": ({"habits": [{"position": 0, "name": "물", "times": BLANK}]}, "#/habits/0/position"),
    "no habits": ({"theme": "바다"}, "#/habits"),
    "habits are null": ({"habits": None}, "#/habits"),
    "a number for a text": ({"theme": 1, "habits": []}, "#/theme"),
    "a list for an object": ({"reflection": [], "habits": []}, "#/reflection"),
    "unknown answer": ({"reflection": {"mood": "x"}, "habits": []}, "#/reflection/mood"),
    "six marks": ({"habits": [{"name": "물", "times": BLANK[1:]}]}, "#/habits/0/times"),
    "unknown mark": ({"habits": [{"name": "물", "times": ["blue", *BLANK[1:]]}]}, "#/habits/0/times/0"),
    "blank mark of legacy": ({"habits": [{"name": "물", "times": ["", *BLANK[1:]]}]}, "#/habits/0/times/0"),
    "long name": ({"habits": [{"name": "물" * 201, "times": BLANK}]}, "#/habits/0/name"),
    "empty name": ({"habits": [{"name": "", "times": BLANK}]}, "#/habits/0/name"),
    "long theme": ({"theme": "물" * 10_001, "habits": []}, "#/theme"),
    "many habits": ({"habits": [{"name": "물", "times": BLANK}] * 501}, "#/habits"),
    "a list": ([], "#"),
    "a text": ("habits", "#"),
    "slash in the name of a field": ({"a/b~": 1, "habits": []}, "#/a~1b~0"),
}


@pytest.mark.parametrize(("value", "pointer"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_named_with_its_place(parent: Person, value: Any, pointer: str) -> None:
    response = parent.put(week_of(), value)
    assert problem(response) == (422, "invalid")
    assert pointer in [place for place, _ in errors(response)]
    assert problem(parent.get(week_of())) == (404, "not_found")


WRONG_CELLS = {
    "text for a number": {"position": "0", "day": 0, "status": "red"},
    "true for a number": {"position": True, "day": 0, "status": "red"},
    "fraction": {"position": 0.0, "day": 0, "status": "red"},
    "negative": {"position": -1, "day": 0, "status": "red"},
    "eighth day": {"position": 0, "day": 7, "status": "red"},
    "no such habit": {"position": 2, "day": 0, "status": "red"},
    "null": {"position": 0, "day": 0, "status": None},
    "unknown field": {"position": 0, "day": 0, "status": "red", "habit_id": 1},
    "huge number": {"position": 10**400, "day": 0, "status": "red"},
}


@pytest.mark.parametrize("cell", WRONG_CELLS.values(), ids=WRONG_CELLS)
def test_no_cell_is_set_where_one_cannot_be(parent: Person, cell: dict[str, Any]) -> None:
    before = parent.put(week_of(), WEEK).content
    good = {"position": 0, "day": 0, "status": "red"}
    assert problem(parent.patch(week_of(rest="/marks"), {"marks": [good, cell]})) == (422, "invalid")
    assert parent.get(week_of()).content == before


JSON_TEXTS = {
    "nothing like JSON": (b"{habits: []}", 400),
    "cut off": (b'{"habits": [', 400),
    "not UTF-8": ('{"theme": "é", "habits": []}'.encode("latin-1"), 400),
    "UTF-16": ('{"habits": []}'.encode("utf-16"), 400),
    "byte order mark": (b"\xef\xbb\xbf" + b'{"habits": []}', 400),
    "empty": (b"", 422),
    "key twice": (b'{"habits": [], "habits": []}', 422),
    "key twice, deep": (b'{"habits": [{"name": "a", "name": "b", "times": []}]}', 422),
    "key twice, escaped": (b'{"habits": [], "h\\u0061bits": []}', 422),
    "NaN": (b'{"habits": NaN}', 422),
    "Infinity": (b'{"habits": [-Infinity]}', 422),
    "number beyond all bounds": (b'{"habits": 1e99999999999999999999}', 422),
    "number of many digits": (b'{"habits": ' + b"9" * 5000 + b"}", 422),
    "half of a pair": (b'{"theme": "\\ud83d", "habits": []}', 422),
    "half of a pair as a key": (b'{"\\udc00": 1, "habits": []}', 422),
    "NUL": (b'{"theme": "\\u0000", "habits": []}', 422),
    "depth bomb of lists": (b'{"habits": ' + b"[" * 100_000, 422),
    "depth bomb of objects": (b'{"a":' * 100_000, 422),
    "deep, and valid": (b'{"habits": ' + b"[" * 600 + b"]" * 600 + b"}", 422),
    "depth in a text": (b'{"theme": "' + b"[" * 100 + b'", "habits": []}', 201),
    "quotation marks without end": (b'"' + b'\\"' * 400_000, 400),
}


@pytest.mark.parametrize(("content", "status"), JSON_TEXTS.values(), ids=JSON_TEXTS)
def test_json_is_read_strictly(parent: Person, content: bytes, status: int) -> None:
    response = parent.send("PUT", week_of(), content)
    assert response.status_code == status
    if status != 201:
        problem(response)


@pytest.mark.parametrize("name", ["half of a pair", "half of a pair as a key"])
def test_half_of_a_surrogate_pair_is_called_what_it_is(parent: Person, name: str) -> None:
    response = parent.send("PUT", week_of(), JSON_TEXTS[name][0], Accept_Language="en")
    assert errors(response) == [("", "The text contains a character that cannot be stored.")]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "",
    ],
)
def test_only_json_in_utf_8_is_taken(parent: Person, content_type: str) -> None:
    response = parent.send("PUT", week_of(), json.dumps(WEEK), content_type=content_type)
    assert problem(response) == (415, "unsupported_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"']
)
def test_utf_8_may_be_said(parent: Person, content_type: str) -> None:
    assert parent.send("PUT", week_of(), json.dumps(WEEK), content_type=content_type).status_code == 201


def test_more_than_a_megabyte_is_too_much(parent: Person) -> None:
    content = json.dumps(WEEK).encode()
    largest = content + b" " * (1024 * 1024 - len(content))
    assert parent.send("PUT", week_of(), largest).status_code == 201
    assert problem(parent.send("PUT", week_of(), largest + b" ")) == (413, "too_large")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/children", "GET, HEAD"),
        ("POST", week_of(), "DELETE, GET, HEAD, PUT"),
        ("PUT", week_of(rest="/marks"), "PATCH"),
        ("GET", week_of(rest="/marks"), "PATCH"),
        ("TRACE", week_of(), "DELETE, GET, HEAD, PUT"),
    ],
)
def test_another_method_is_refused_with_those_that_are_known(
    parent: Person, method: str, path: str, allowed: str
) -> None:
    response = parent.send(method, path)
    assert problem(response) == (405, "method_not_allowed")
    assert sorted(response["Allow"].split(", ")) == allowed.split(", ")


@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/children/", "/api/children/x", "/api//children"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_address_is_a_problem_too(parent: Person, path: str, method: str) -> None:
    assert problem(parent.send(method, path)) == (404, "not_found")


def test_a_forged_host_is_a_problem_too(parent: Person) -> None:
    assert problem(parent.get("/api/children", Host="evil.example")) == (400, "bad_request")


def test_without_a_session_nothing_is_answered_and_nobody_is_redirected(nobody: Person) -> None:
    for response in (
        nobody.get("/api/children"),
        nobody.get(week_of()),
        nobody.put(week_of(), WEEK),
        nobody.put(week_of(), WEEK, key=None),
        nobody.patch(week_of(rest="/marks"), marks((0, 0, "red"))),
        nobody.delete(week_of()),
    ):
        assert problem(response) == (401, "not_signed_in")
        assert "WWW-Authenticate" in response


def test_an_account_that_was_closed_is_let_in_no_more(parent: Person) -> None:
    User.objects.filter(pk=OWNER).update(is_active=False)
    assert problem(parent.get("/api/children")) == (401, "not_signed_in")


def test_a_change_by_a_browser_needs_the_csrf_token(parent: Person) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = parent.client.cookies
    headers = {"Idempotency-Key": "k"}
    assert problem(strict.delete(week_of(), headers=headers)) == (403, "csrf_failed")
    assert problem(strict.put(week_of(), WEEK, "application/json", headers=headers)) == (403, "csrf_failed")
    secret = "a" * 32
    strict.cookies["csrftoken"] = secret
    headers |= {"X-CSRFToken": secret}
    assert strict.put(week_of(), WEEK, "application/json", headers=headers).status_code == 201


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "multipart/form-data", "text/plain"])
def test_a_form_is_not_taken_for_json_though_it_may_hold_a_csrf_token(parent: Person, content_type: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = parent.client.cookies
    strict.cookies["csrftoken"] = secret = "a" * 32
    response = strict.generic(
        "POST",
        "/api/templates",
        f'--x\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{secret}\r\n--x--\r\n',
        content_type=content_type,
        headers={"Idempotency-Key": "k", "X-CSRFToken": secret},
    )
    status, _ = problem(response)
    assert status == (400 if content_type == "multipart/form-data" else 415)


@pytest.mark.parametrize(
    ("language", "detail"),
    [("ko", "이 주소에는 아무것도 없습니다."), ("en-GB,en;q=0.9", "There is nothing under this address.")],
)
def test_the_sentence_is_in_the_language_that_is_asked_for(parent: Person, language: str, detail: str) -> None:
    for path in (week_of(), "/api/nothing"):
        response = parent.get(path, Accept_Language=language)
        assert json.loads(response.content)["detail"] == detail
        assert response["Content-Language"] == language[:2]
        assert "Accept-Language" in response["Vary"]


def test_a_week_that_waits_for_a_person_can_neither_be_read_nor_changed_and_says_why(
    parent: Person, installation: Installation
) -> None:
    installation.reach("dual_write")
    installation.insert(row(1, habits=[{"id": 1, "name": "물", "times": ["blue", *[""] * 6]}]))
    applier.drain(boards)
    assert QuarantineItem.objects.filter(status=QuarantineStatus.OPEN).count() == 1
    assert problem(parent.put(week_of(), WEEK)) == (409, "held")
    assert problem(parent.delete(week_of())) == (409, "held")
    assert problem(parent.get(week_of())) == (404, "held")
    assert problem(parent.get(week_of(day="2025-07-28"))) == (404, "not_found")


@pytest.fixture
def impatient(settings: Any) -> None:
    patience = timedelta(milliseconds=200)
    settings.MIGRATION_OPS = {"WRITE_PATIENCE": patience, "FOLLOWER_PATIENCE": patience}


def test_a_lock_that_is_not_to_be_had_is_answered_in_time_and_may_be_tried_again(
    parent: Person, impatient: None
) -> None:
    parent.put(week_of(), WEEK)
    cell = marks((1, 0, "red"))
    with second_connection() as other:
        other.execute("SELECT FROM habit_tracker FOR UPDATE")
        response = parent.patch(week_of(rest="/marks"), cell, key="again")
        assert problem(response) == (503, "busy")
        assert response["Retry-After"] == "1"
        other.rollback()
    assert parent.patch(week_of(rest="/marks"), cell, key="again").status_code == 200


@pytest.fixture
def without_legacy_table(installation: Installation) -> Iterator[None]:
    run("ALTER TABLE habit_tracker RENAME TO elsewhere")
    yield
    run("ALTER TABLE elsewhere RENAME TO habit_tracker")


def test_a_store_that_is_away_says_nothing_of_itself(parent: Person, without_legacy_table: None) -> None:
    for response in (parent.get(week_of()), parent.put(week_of(), WEEK)):
        assert problem(response) == (503, "unavailable")
        assert response["Retry-After"] == "5"
        assert b"habit_tracker" not in response.content


def test_a_defect_is_answered_without_its_traceback(
    parent: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("secret of the house")

    monkeypatch.setattr("habits.api.boards.family.children", broken)
    response = parent.get("/api/children")
    assert problem(response) == (500, "fault")
    assert b"secret" not in response.content
    assert "secret of the house" in caplog.text


def test_a_broken_file_is_out_of_reach(file: Installation) -> None:
    parent = Person(OWNER)
    assert file.file is not None
    file.file.write_text('{"records": [', encoding="utf-8")
    for response in (parent.get(week_of()), parent.put(week_of(), WEEK)):
        assert problem(response) == (503, "unavailable")
        assert str(file.file).encode() not in response.content


def test_reads_and_changes_of_a_family_are_limited_apart(parent: Person, stranger: Person, settings: Any) -> None:
    settings.READS_PER_MINUTE, settings.WRITES_PER_MINUTE = 2, 1
    with connection.cursor() as cursor:  # the minute of the last request, far from its end
        cursor.execute("DELETE FROM request_counts")
    assert [parent.get("/api/children").status_code for _ in range(2)] == [200, 200]
    refused = parent.get("/api/children")
    if refused.status_code == 200:  # a minute ended between them
        refused = [parent.get("/api/children") for _ in range(2)][1]
    assert problem(refused) == (429, "too_many_requests")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert parent.put(week_of(), WEEK).status_code == 201
    assert stranger.get("/api/children").status_code == 200


def test_a_new_minute_begins_at_nought(parent: Person, settings: Any) -> None:
    settings.READS_PER_MINUTE = 1
    parent.get("/api/children")
    run("UPDATE request_counts SET minute = minute - interval '1 minute', requests = 99")
    assert parent.get("/api/children").status_code == 200
