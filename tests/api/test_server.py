"""What can only be seen with real processes: many requests at once, a worker that dies, a database that is away."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from habits.models import IdempotencyRecord
from tests.api.conftest import BLANK, WEEK, Person, marks, week_of
from tests.api.server import ROOT, Answer, Server, serving
from tests.database import database_url
from tests.engine.syncing import rows
from tests.families.conftest import Installation
from tests.habits.legacy_files import OWNER

CLIENTS = 100

AT_ONCE = 10.0
"""Seconds in which an answer comes that waits for nothing, on a machine that does much else; what waits for a database
that is away waits longer, or for ever."""


def session_of(person: Person) -> str:
    return person.client.cookies["sessionid"].value


def week(server: Server, session: str) -> dict[str, list[dict[str, list[str]]]]:
    answer = server.send("GET", week_of(), session)
    assert answer.status == 200, answer
    found: dict[str, list[dict[str, list[str]]]] = json.loads(answer.body)
    return found


def test_a_hundred_requests_with_one_key_have_one_effect(parent: Person, installation: Installation) -> None:
    installation.reach("dual_write")
    session, content = session_of(parent), json.dumps(WEEK)
    with serving() as server, ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(
            clients.map(
                lambda _: server.send("PUT", week_of(), session, content, Idempotency_Key="one"), range(CLIENTS)
            )
        )
        again = server.send("PUT", week_of(), session, content, Idempotency_Key="one")
    counts = Counter(answer.status for answer in answers)
    assert set(counts) <= {201, 409}, counts
    made = [answer for answer in answers if answer.status == 201]
    assert sum("Idempotent-Replayed" not in answer.headers for answer in made) == 1
    assert {answer.body for answer in made} == {again.body}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 409)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(installation.rows()) == 1
    assert IdempotencyRecord.objects.count() == 1
    assert rows("SELECT count(*) FROM weeks") == [(1,)]


def test_many_parents_at_once_lose_no_mark(parent: Person, installation: Installation) -> None:
    installation.reach("ramp")
    lines = 4
    parent.put(week_of(), {"habits": [{"name": str(n), "times": BLANK} for n in range(lines)]})
    session = session_of(parent)

    def mark(cell: int) -> int:
        position, day = divmod(cell, 7)
        content = json.dumps(marks((position, day, "green")))
        return server.send("PATCH", week_of(rest="/marks"), session, content).status

    with serving() as server, ThreadPoolExecutor(lines * 7) as clients:
        assert set(clients.map(mark, range(lines * 7))) == {200}
        assert [habit["times"] for habit in week(server, session)["habits"]] == [["green"] * 7] * lines
    assert installation.marks() == [[["green"] * 7] * lines]


def test_a_change_whose_answer_was_lost_is_answered_from_the_record(parent: Person, installation: Installation) -> None:
    installation.reach("dual_write")
    parent.put(week_of(), WEEK)
    session, content = session_of(parent), json.dumps(marks((1, 0, "green")))
    path = week_of(rest="/marks")
    with serving(workers=1, MIGRATION_OPS_FAILPOINT="api.answered") as server:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            server.send("PATCH", path, session, content, Idempotency_Key="lost")
        assert installation.marks()[0][1][0] == "green"
        parent.patch(path, marks((1, 0, "red")))  # and the other parent goes on
        again = server.send("PATCH", path, session, content, Idempotency_Key="lost")
        assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert json.loads(again.body)["habits"][1]["times"][0] == "green"
        assert week(server, session)["habits"][1]["times"][0] == "red"


def test_a_change_that_was_killed_before_the_commit_is_made_by_the_next_attempt(
    parent: Person, installation: Installation
) -> None:
    """In a file the mark may stand already: it is the same mark when it is set again."""
    installation.reach("dual_write")
    parent.put(week_of(), WEEK)
    session, content = session_of(parent), json.dumps(marks((1, 0, "green")))
    path = week_of(rest="/marks")
    with (
        serving(workers=1, MIGRATION_OPS_FAILPOINT="dual_write.saved") as server,
        pytest.raises((ConnectionError, http.client.HTTPException)),
    ):
        server.send("PATCH", path, session, content, Idempotency_Key="lost")
    assert not IdempotencyRecord.objects.filter(key="lost").exists()
    again = parent.patch(path, marks((1, 0, "green")), key="lost")
    assert (again.status_code, "Idempotent-Replayed" in again) == (200, False)
    assert installation.marks()[0][1] == ["green", *[""] * 6]


@pytest.fixture
def without_database(table: Installation) -> Iterator[tuple[Server, str]]:
    session = session_of(Person(OWNER))
    with serving(workers=1, DATABASE_URL="postgres://app@127.0.0.1:1/app") as server:
        server.send("GET", "/api/openapi.json", session)  # from here on it runs
        yield server, session


def test_without_a_database_everything_is_unavailable_at_once(without_database: tuple[Server, str]) -> None:
    server, session = without_database
    calls = (
        ("GET", "/api/children", ""),
        ("GET", week_of(), ""),
        ("GET", week_of()[: -len("/2025-07-21")], ""),
        ("GET", "/api/children/x/stats", ""),
        ("PUT", week_of(), json.dumps(WEEK)),
        ("PATCH", week_of(rest="/marks"), json.dumps(marks((0, 0, "red")))),
        ("DELETE", week_of(), ""),
    )
    for method, path, content in calls:
        began = time.monotonic()
        answer = server.send(method, path, session, content)
        assert answer.status == 503, answer
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) >= 1
        assert b"127.0.0.1" not in answer.body
        assert time.monotonic() - began < AT_ONCE
    assert server.send("GET", "/api/openapi.json", session).status == 200
    assert server.send("GET", "/api/docs", session).status == 200


def chunks(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.fixture
def server(table: Installation) -> Iterator[Server]:
    with serving(workers=1) as running:
        yield running


def test_content_in_chunks_is_read_like_any_other_and_refused_beyond_a_megabyte(server: Server) -> None:
    session, content = session_of(Person(OWNER)), json.dumps(WEEK).encode()

    def put(sent: bytes) -> Answer:
        return server.send("PUT", week_of(), session, chunks(sent, 1000))  # without a length

    assert put(content).status == 201
    assert len(week(server, session)["habits"]) == 2
    assert put(content + b" " * (1024 * 1024)).status == 413
    assert put(content + b" " * (5 * 1024 * 1024)).status == 413
    whole = server.send("PUT", week_of(), session, content + b" " * (5 * 1024 * 1024))
    assert whole.status == 413


@pytest.mark.parametrize("name", ["%FF", "%ed%a0%80", "%C0%AF", "tom%C3"])
def test_an_address_that_is_no_text_is_refused(server: Server, parent: Person, name: str) -> None:
    """Not taken for the name of a child that is written with these very percent signs."""
    session = session_of(parent)
    address = f"/api/children/{name}/weeks/2025-07-21"
    for method, content in (("PUT", json.dumps(WEEK)), ("GET", ""), ("DELETE", "")):
        answer = server.send(method, address, session, content)
        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert server.send("GET", f"/children/{name}/", session).status == 400


def test_a_child_may_be_named_with_percent_signs(server: Server, parent: Person) -> None:
    answer = server.send("PUT", "/api/children/%25FF/weeks/2025-07-21", session_of(parent), json.dumps(WEEK))
    assert (answer.status, json.loads(answer.body)["child"]) == (201, "%FF")


@pytest.mark.parametrize("entry", ["config.wsgi", "config.asgi"])
def test_no_family_waits_for_the_garbage_collector_to_look_at_the_program(entry: str, transactional_db: None) -> None:
    program = f"import gc, {entry}; gc.collect(); print(gc.get_freeze_count(), len(gc.get_objects()))"
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url()},
        capture_output=True,
        text=True,
        check=True,
    )
    frozen, looked_at = map(int, said.stdout.split())
    assert frozen > 50_000
    assert looked_at < frozen / 20
