"""What load balancers and supervisors are told, and that they are told in time."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from config.embedded.servers import redis as embedded_redis
from migration_ops.definition import AnyMigration
from migration_ops.health import checks
from migration_ops.models import Heartbeat
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from tests.api.server import serving
from tests.engine.background import Background
from tests.engine.syncing import begin_dual_write, run, second_connection
from tests.engine.waiting import eventually

IN_TIME = 3.5
"""Seconds within which a probe has its answer, whatever hangs; it takes two."""

ELSEWHERE = {"host": "203.0.113.7"}
"""Probes come to an address that `ALLOWED_HOSTS` does not know."""


@pytest.fixture(autouse=True)
def no_loop_of_a_browser() -> Iterator[None]:
    """A thread that serves has no event loop; this one may have that of a browser, which ends with the last test."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture
def redis_there() -> Iterator[None]:
    """The queue's Redis runs."""
    server = embedded_redis()
    was_there = server.pid() is not None
    server.ensure()
    yield
    if not was_there:
        server.stop()


@pytest.fixture
def all_alive(notes: AnyMigration, redis_there: None) -> AnyMigration:
    """Stage `dual_write`, and everybody has just said that they are alive."""
    begin_dual_write(notes)
    for role in (Role.APPLIER, Role.EVALUATOR, Role.SCHEDULER):
        heartbeat.beat(notes, role)
    return notes


def ready() -> tuple[int, dict[str, Any]]:
    answer = Client(headers=ELSEWHERE).get("/readyz")
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    return answer.status_code, answer.json()


def status_of(name: str) -> str:
    return str(ready()[1]["checks"][name]["status"])


def silent(role: Role, seconds: int) -> None:
    run(
        "UPDATE migration_ops_heartbeat SET at = clock_timestamp() - make_interval(secs => %s) WHERE role = %s",
        seconds,
        role.value,
    )


def test_a_process_that_answers_is_healthy_and_asks_nobody() -> None:
    # No database fixture: a query would fail this test.
    answer = Client(headers=ELSEWHERE).get("/healthz")
    assert (answer.status_code, answer.json(), answer["Cache-Control"]) == (200, {"status": "ok"}, "no-store")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_only_look(notes: AnyMigration, path: str) -> None:
    head = Client(headers=ELSEWHERE).head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert Client(headers=ELSEWHERE).post(path).status_code == 405


def test_other_pages_still_ask_for_which_host_they_are_meant(db: None) -> None:
    assert Client(headers=ELSEWHERE).get("/metrics").status_code == 400


def test_everything_there_is_ready(all_alive: AnyMigration) -> None:
    code, said = ready()
    assert (code, said["status"]) == (200, "ready")
    assert {name: line["status"] for name, line in said["checks"].items()} == dict.fromkeys(
        ("database", "migrations", "queue", "applier", "evaluator", "scheduler"), "ok"
    )
    assert {name for name, line in said["checks"].items() if line["required"]} == {"database", "migrations"}
    assert 0 <= said["checks"]["applier"]["age_seconds"] < 60


@pytest.mark.parametrize(
    ("role", "seconds"), [(Role.APPLIER, 16), (Role.EVALUATOR, 46), (Role.SCHEDULER, 31)], ids=lambda value: str(value)
)
def test_a_silent_process_degrades_and_takes_nobody_away(all_alive: AnyMigration, role: Role, seconds: int) -> None:
    silent(role, seconds)
    code, said = ready()
    assert (code, said["status"]) == (200, "degraded")
    line = said["checks"][role.value]
    assert (line["status"], line["age_seconds"]) == ("failed", pytest.approx(seconds, abs=5))
    assert line["message"].startswith(f"The {role.value} was last heard of ")


@pytest.mark.parametrize(
    ("option", "wrong", "right"), [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")], ids=["full", "held"]
)
def test_a_redis_that_answers_and_takes_nothing_is_no_queue(
    all_alive: AnyMigration, in_background: Background, option: str, wrong: str, right: str
) -> None:
    in_background.client().config_set(option, wrong)
    code, said = ready()
    in_background.client().config_set(option, right)
    assert (code, said["status"]) == (200, "degraded")
    assert said["checks"]["queue"]["message"] == "Redis answers, and takes nothing; background work waits."
    assert status_of("queue") == "ok"


def test_a_process_nobody_ever_heard_of_is_missed_only_where_the_stage_needs_it(
    notes: AnyMigration, redis_there: None
) -> None:
    assert (status_of("applier"), status_of("evaluator"), status_of("scheduler")) == ("ok", "ok", "failed")
    begin_dual_write(notes)
    assert (status_of("applier"), status_of("evaluator"), status_of("scheduler")) == ("failed", "failed", "failed")
    assert ready()[0] == 200


def test_a_schema_that_is_older_than_the_code_is_not_ready_and_a_newer_one_is(all_alive: AnyMigration) -> None:
    row = ("migration_ops", "0001_initial")
    try:
        run("DELETE FROM django_migrations WHERE app = %s AND name = %s", *row)
        code, said = ready()
    finally:
        run("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", *row)
    assert (code, said["status"]) == (503, "unavailable")
    assert said["checks"]["migrations"]["message"] == "1 migrations are not applied. Run `manage.py migrate`."
    assert said["checks"]["applier"]["status"] == "unknown"
    run("INSERT INTO django_migrations (app, name, applied) VALUES ('migration_ops', '9999_next_release', now())")
    try:
        assert ready()[1]["status"] == "ready"
    finally:
        run("DELETE FROM django_migrations WHERE name = '9999_next_release'")


def test_a_statement_that_hangs_is_given_up_and_the_next_probe_looks_again(all_alive: AnyMigration) -> None:
    with second_connection() as other:
        other.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        code, said = ready()
        assert time.monotonic() - began < IN_TIME
        other.rollback()
    assert (code, said["checks"]["database"]["status"]) == (503, "failed")
    assert said["checks"]["database"]["message"].endswith("the log of this process says why."), (
        "the look gave up itself"
    )
    assert ready()[0] == 200


def test_who_asks_waits_no_longer_than_a_probe_may_and_looks_do_not_pile_up(
    all_alive: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "PATIENCE", timedelta(milliseconds=100))
    with second_connection() as other:
        other.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        found = [ready() for _ in range(4)]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%migrations%'"
        assert other.execute(waiting).fetchone() == (1,)
        other.rollback()
    for code, said in found:
        assert (code, said["checks"]["database"]["message"]) == (503, "The database does not answer in time.")


def test_a_probe_leaves_no_connection_behind(all_alive: AnyMigration) -> None:
    def sessions() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            return int(cursor.fetchone()[0])

    ready()
    before = sessions()
    for _ in range(5):
        ready()
    eventually(lambda: sessions() <= before)  # the server takes a moment to end one that was closed


@contextmanager
def hanging() -> Iterator[tuple[int, list[socket.socket]]]:
    """A server that takes connections and never says a word: its port, and the connections it took."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1], taken
        server.shutdown(socket.SHUT_RDWR)
    for one in taken:
        one.close()


def test_with_a_database_that_hangs_the_answer_comes_in_time_and_probes_do_not_pile_up() -> None:
    with (
        hanging() as (port, taken),
        serving(workers=1, DATABASE_URL=f"postgres://app:a-secret@127.0.0.1:{port}/app") as server,
    ):
        assert server.send("GET", "/healthz", "nobody").status == 200
        before = len(taken)
        answers: list[Any] = []
        began = time.monotonic()
        probes = [
            threading.Thread(target=lambda: answers.append(server.send("GET", "/readyz", "nobody"))) for _ in range(6)
        ]
        for probe in probes:
            probe.start()
        for probe in probes:
            probe.join()
        assert time.monotonic() - began < IN_TIME
        connections = len(taken) - before
    assert [answer.status for answer in answers] == [503] * 6
    assert connections <= 3, "one look for all of them; the process's own reports may be among the rest"
    for answer in answers:
        said = json.loads(answer.body)
        assert said["checks"]["database"]["status"] == "failed"
        assert said["checks"]["database"]["message"].startswith("The database does not answer")
        assert said["checks"]["applier"]["status"] == "unknown"
        assert not [
            word
            for word in (b"127.0.0.1", str(port).encode(), b"a-secret", b"app", b"Traceback", b"/")
            if word in answer.body.replace(b"applier", b"")
        ]


def test_without_redis_families_are_served(all_alive: AnyMigration) -> None:
    with serving(workers=1, REDIS_URL="redis://:a-secret@127.0.0.1:1/0") as server:
        answer = server.send("GET", "/readyz", "nobody")
    said = json.loads(answer.body)
    assert (answer.status, said["status"], said["checks"]["queue"]["status"]) == (200, "degraded", "failed")
    assert b"a-secret" not in answer.body
    assert b"127.0.0.1" not in answer.body


def test_a_redis_that_hangs_does_not_keep_the_probe(all_alive: AnyMigration) -> None:
    with hanging() as (port, _taken), serving(workers=1, REDIS_URL=f"redis://127.0.0.1:{port}/0") as server:
        server.send("GET", "/healthz", "nobody")
        began = time.monotonic()
        answer = server.send("GET", "/readyz", "nobody")
        assert time.monotonic() - began < IN_TIME
    assert (answer.status, json.loads(answer.body)["checks"]["queue"]["status"]) == (200, "failed")


def test_ages_are_of_the_process_that_was_heard_of_last(all_alive: AnyMigration) -> None:
    silent(Role.APPLIER, 600)
    Heartbeat.objects.create(migration=all_alive.name, role="applier", process="another:1", at=Now())
    assert status_of("applier") == "ok"
