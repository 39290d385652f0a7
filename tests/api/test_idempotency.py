"""A change that is sent twice is made once, and answered twice with the same bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from habits import idempotency
from habits.idempotency import Scope
from habits.models import IdempotencyRecord
from tests.api.conftest import BLANK, WEEK, Person, marks, problem, week_of
from tests.engine.syncing import rows, run, second_connection
from tests.engine.waiting import InThread
from tests.families.conftest import Installation
from tests.habits.legacy_files import OTHER, OWNER

KEY = "a-key"
SAME = ("Content-Type", "ETag", "Location", "X-Served-From", "X-Served-Reason", "Cache-Control", "Content-Language")


def said(response: Any) -> tuple[Any, ...]:
    return response.status_code, response.content, [response.get(name) for name in SAME]


def test_a_repeated_change_is_answered_again_and_not_made_again(parent: Person, stage: str) -> None:
    calls = (
        lambda key: parent.put(week_of(), WEEK, key=key),
        lambda key: parent.patch(week_of(rest="/marks"), marks((1, 0, "green")), key=key),
        lambda key: parent.delete(week_of(), key=key),
    )
    for number, call in enumerate(calls):
        first = call(f"{KEY}-{number}")
        assert first.status_code in (200, 201, 204)
        assert "Idempotent-Replayed" not in first
        if number == 1:
            parent.patch(week_of(rest="/marks"), marks((1, 0, "red")))  # somebody else goes on
        again = call(f"{KEY}-{number}")
        assert said(again) == said(first)
        assert again["Idempotent-Replayed"] == "true"
        if number == 1:
            assert json.loads(parent.get(week_of()).content)["habits"][1]["times"][0] == "red"


@pytest.fixture
def at_home(table: Installation) -> Person:
    """In the table alone, where both kinds of installation are the same to the test."""
    return Person(OWNER)


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Idempotency-Key"])
def test_either_header_will_do(at_home: Person, name: str) -> None:
    assert at_home.put(week_of(), WEEK, key=None, **{name.replace("-", "_"): KEY}).status_code == 201
    assert at_home.put(week_of(), WEEK, key=KEY)["Idempotent-Replayed"] == "true"


def test_both_headers_have_to_say_the_same(at_home: Person) -> None:
    assert problem(at_home.put(week_of(), WEEK, key="a", X_Idempotency_Key="b")) == (400, "idempotency_keys_differ")
    assert at_home.put(week_of(), WEEK, key="a", X_Idempotency_Key="a").status_code == 201


def test_a_change_without_a_key_is_refused(at_home: Person) -> None:
    for response in (
        at_home.put(week_of(), WEEK, key=None),
        at_home.patch(week_of(rest="/marks"), marks((0, 0, "red")), key=None),
        at_home.delete(week_of(), key=None),
        at_home.put(week_of(), {"nonsense": 1}, key=None),
    ):
        assert problem(response) == (400, "idempotency_key_missing")


@pytest.mark.parametrize("key", ["a b", "ключ", "x" * 256, "a\tb", "é", "\x7f", " "])
def test_a_malformed_key_is_refused(at_home: Person, key: str) -> None:
    assert problem(at_home.put(week_of(), WEEK, key=key)) == (400, "idempotency_key_malformed")


@pytest.mark.parametrize("key", ["x" * 255, "!", '"quoted"', "~" * 200])
def test_any_visible_ascii_is_a_key(at_home: Person, key: str) -> None:
    assert at_home.put(week_of(), WEEK, key=key).status_code == 201
    assert at_home.put(week_of(), WEEK, key=key)["Idempotent-Replayed"] == "true"


def test_a_key_is_not_used_for_something_else(at_home: Person) -> None:
    at_home.put(week_of(), WEEK, key=KEY)
    assert problem(at_home.put(week_of(), {"habits": []}, key=KEY)) == (422, "idempotency_key_reused")
    assert problem(at_home.put(week_of(), WEEK, key=KEY, If_Match='"x"')) == (422, "idempotency_key_reused")
    assert json.loads(at_home.get(week_of()).content)["theme"] == "바다"


def test_the_same_key_means_another_change_for_another_person_method_or_address(
    at_home: Person, table: Installation
) -> None:
    assert at_home.put(week_of(), WEEK, key=KEY).status_code == 201
    assert at_home.put(week_of(day="2025-07-28"), WEEK, key=KEY).status_code == 201
    assert at_home.put(week_of("별이"), WEEK, key=KEY).status_code == 201
    assert Person(OTHER).put(week_of(), WEEK, key=KEY).status_code == 201
    assert at_home.delete(week_of(), key=KEY).status_code == 204


def test_a_key_whose_first_request_still_runs_is_answered_at_once(at_home: Person) -> None:
    with second_connection() as other:
        scope = Scope(OWNER, "PUT", week_of(child="x").replace("x", "달이"), KEY)
        other.execute("SELECT pg_advisory_xact_lock(%s)", [idempotency.lock_of(scope)])
        response = at_home.put(week_of(), WEEK, key=KEY)
        assert problem(response) == (409, "idempotency_key_in_use")
        assert response["Retry-After"] == "1"
        other.rollback()
    assert at_home.put(week_of(), WEEK, key=KEY).status_code == 201


def test_what_was_refused_for_itself_is_not_remembered(at_home: Person) -> None:
    assert at_home.put(week_of(), {"habits": 1}, key=KEY).status_code == 422
    assert at_home.put(week_of(), WEEK, key=KEY).status_code == 201
    cells = marks((9, 0, "red"))
    assert at_home.patch(week_of(rest="/marks"), cells, key=KEY).status_code == 422
    at_home.put(week_of(), {"habits": [{"name": "물", "times": BLANK}] * 10})
    assert at_home.patch(week_of(rest="/marks"), cells, key=KEY).status_code == 200


def test_what_the_data_answered_is_remembered(at_home: Person) -> None:
    missing = at_home.delete(week_of(), key=KEY)
    stale = at_home.put(week_of(), WEEK, key=KEY, If_Match='"nope"')
    assert (missing.status_code, stale.status_code) == (404, 412)
    at_home.put(week_of(), WEEK)
    again = at_home.delete(week_of(), key=KEY)
    assert said(again) == said(missing)
    assert again["Idempotent-Replayed"] == "true"
    assert said(at_home.put(week_of(), WEEK, key=KEY, If_Match='"nope"')) == said(stale)


def test_the_answer_is_remembered_only_if_the_change_is_made(at_home: Person) -> None:
    run("ALTER TABLE idempotency_log ADD CONSTRAINT disk_full CHECK (false) NOT VALID")
    try:
        assert problem(at_home.put(week_of(), WEEK, key=KEY)) == (500, "fault")
    finally:
        run("ALTER TABLE idempotency_log DROP CONSTRAINT disk_full")
    assert problem(at_home.get(week_of())) == (404, "not_found")
    assert at_home.put(week_of(), WEEK, key=KEY).status_code == 201


def test_after_its_time_a_key_is_free(at_home: Person) -> None:
    assert at_home.put(week_of(), WEEK, key=KEY).status_code == 201
    (left,) = rows("SELECT extract(epoch FROM expires_at - now()) / 3600 FROM idempotency_log")
    assert 71 < left[0] <= 72
    run("UPDATE idempotency_log SET expires_at = now() - interval '1 second'")
    again = at_home.put(week_of(), WEEK, key=KEY)
    assert (again.status_code, "Idempotent-Replayed" in again) == (200, False)
    assert at_home.put(week_of(), WEEK, key=KEY).content == again.content


def test_the_purge_takes_what_has_expired_and_nothing_else(at_home: Person, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        at_home.put(week_of(day=f"2025-0{number + 1}-01"), WEEK, key=KEY)
    run("UPDATE idempotency_log SET expires_at = now() - interval '1 second' WHERE route NOT LIKE '%2025-01%'")
    for arguments, purged in ((["--dry-run"], 4), (["--batch-size", "3"], 4), ([], 0)):
        capsys.readouterr()
        call_command("purge_idempotency", "--json", *arguments)
        assert json.loads(capsys.readouterr().out)["purged"] == purged
    assert IdempotencyRecord.objects.count() == 1
    with pytest.raises(SystemExit) as ended:
        call_command("purge_idempotency", "--batch-size", "0")
    assert ended.value.code == 2


def test_two_parents_who_mark_different_cells_at_once_lose_nothing(parent: Person, installation: Installation) -> None:
    installation.reach("dual_write")
    parent.put(week_of(), WEEK)
    both = [Person(OWNER), Person(OWNER)]

    def mark_all(who: int) -> None:
        for day in range(7):
            answer = both[who].patch(week_of(rest="/marks"), marks((who, day, "green" if who else "red")))
            assert answer.status_code == 200, answer.content

    threads = [InThread(lambda who=who: mark_all(who)) for who in (0, 1)]
    for thread in threads:
        thread.outcome()
    habits = json.loads(parent.get(week_of()).content)["habits"]
    assert [habit["times"] for habit in habits] == [["red"] * 7, ["green"] * 7]
    assert installation.marks() == [[["red"] * 7, ["green"] * 7]]


def test_a_claim_is_for_one_transaction_at_a_time(at_home: Person) -> None:
    scope = Scope(OWNER, "PUT", "/api/x", KEY)

    def claimed() -> bool:
        try:
            with transaction.atomic():
                return idempotency.claim(scope, "f") is None
        except idempotency.StillAnswering:
            return False

    with transaction.atomic():
        assert idempotency.claim(scope, "f") is None
        assert InThread(claimed).outcome() is False
    assert InThread(claimed).outcome() is True
    connection.close()
