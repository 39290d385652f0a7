"""Nothing is started unless somebody needs it, and nothing at all where servers were given."""

from __future__ import annotations

import json

from tests.house.conftest import House

UNREACHABLE = {"DATABASE_URL": "postgres://app@127.0.0.1:1/app", "REDIS_URL": "redis://127.0.0.1:1/0"}

USE_BOTH = """
import django
django.setup()
import django_rq, redis
from django.db import OperationalError, connection
try:
    connection.ensure_connection()
except OperationalError:
    print("no database")
try:
    django_rq.get_connection().ping()
except redis.ConnectionError:
    print("no redis")
"""


def started(house: House) -> set[str]:
    return {path.name for path in house.var.iterdir()} & {"postgresql", "redis", "postgresql.lock", "redis.lock"}


def test_importing_the_settings_starts_nothing(house: House) -> None:
    done = house.python("import config.settings")

    assert done.returncode == 0, done.stderr
    assert started(house) == set()


def test_checking_the_installation_starts_nothing(house: House) -> None:
    done = house.manage("check")

    assert done.returncode == 0, done.stderr
    assert started(house) == set()


def test_servers_that_were_given_are_used_even_if_they_are_away(house: House) -> None:
    done = house.python(USE_BOTH, **UNREACHABLE)

    assert done.stdout == "no database\nno redis\n", done.stderr
    assert started(house) == set()


def test_servers_that_were_given_are_neither_shown_nor_stopped_as_ours(house: House) -> None:
    shown = house.manage("embedded", "status", **UNREACHABLE)
    as_json = house.manage("embedded", "stop", "--json", **UNREACHABLE)

    assert shown.stdout.startswith("Nothing is embedded")
    assert json.loads(as_json.stdout) == {"servers": []}


def test_the_command_starts_shows_and_stops_both(house: House) -> None:
    running = json.loads(house.manage("embedded", "start", "--json").stdout)["servers"]
    shown = house.manage("embedded").stdout
    stopped = json.loads(house.manage("embedded", "stop", "--json").stdout)["servers"]

    assert {server["name"]: server["pid"] for server in running} == {
        "PostgreSQL": running[0]["pid"],
        "Redis": running[1]["pid"],
    }
    assert f"PostgreSQL: running, pid {running[0]['pid']}" in shown
    assert [server["running"] for server in stopped] == [False, False]
