"""A family's write in a JSON installation: a file that somebody replaced is looked through before its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from habits import family
from habits.family import Cell
from habits.models import User
from habits.stores.legacy_json import LegacyJsonStore
from tests.families.conftest import Installation
from tests.habits.legacy_files import OWNER, row

MONDAY = date(2025, 7, 21)
ADDRESS = "/api/children/child/weeks/2025-07-21"
PAGE = "/children/child/weeks/2025-07-21/"


@contextmanager
def indexed_before_the_transaction(file: Installation, folder: Path) -> Iterator[None]:
    """Fails unless the index was up to date when the first statement of a transaction was sent."""
    assert file.file is not None
    version = LegacyJsonStore(file.file).version()
    found: list[str | None] = []

    def look(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if connection.in_atomic_block and not found:
            found.append(_indexed(folder))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(look):
        yield
    assert found == [version]


def _indexed(folder: Path) -> str | None:
    """The version of the file of which there is an index."""
    for index in folder.rglob("*.sqlite*"):
        with sqlite3.connect(index) as opened:
            found = opened.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
            return str(found[0]) if found else None
    return None


def by_service(client: Client) -> None:
    family.set_marks(OWNER, "child", MONDAY, [Cell(0, 0, "red")])


def by_api(client: Client) -> None:
    change = {"marks": [{"position": 0, "day": 0, "status": "red"}]}
    sent = client.patch(f"{ADDRESS}/marks", change, content_type="application/json", headers={"Idempotency-Key": "one"})
    assert sent.status_code == 200


def by_page(client: Client) -> None:
    assert client.post(f"{PAGE}marks/", {"cell": "0-0-red", "shape": "1"}).status_code == 303


def by_deleting(client: Client) -> None:
    assert client.delete(ADDRESS, headers={"Idempotency-Key": "two"}).status_code == 204


def by_deleting_on_the_page(client: Client) -> None:
    assert client.post(f"{PAGE}delete/", {"seen": ""}).status_code == 303


def by_a_new_child(client: Client) -> None:
    assert client.post("/", {"name": "another"}).status_code == 303


@pytest.mark.parametrize(
    "change",
    [by_service, by_api, by_page, by_deleting, by_deleting_on_the_page, by_a_new_child],
    ids=lambda by: by.__name__,
)
@pytest.mark.parametrize("stage", ["off", "dual_write"])
def test_a_file_that_somebody_replaced_is_looked_through_before_the_transaction_of_a_write(
    file: Installation, settings: Settings, change: Callable[[Client], None], stage: str
) -> None:
    file.insert(row(1, child_name="child"))
    file.reach(stage)
    client = Client()
    client.force_login(User.objects.get(pk=OWNER))
    family.board(OWNER, "child", MONDAY)
    file.insert(row(2, child_name="somebody"))
    with indexed_before_the_transaction(file, Path(settings.VAR_DIR)):
        change(client)


def test_where_modern_has_the_word_a_file_that_cannot_be_read_is_in_nobodys_way(file: Installation) -> None:
    assert file.file is not None
    file.reach("live")
    file.file.write_text("{", encoding="utf-8")
    client = Client()
    client.force_login(User.objects.get(pk=OWNER))
    week = {"habits": [{"name": "teeth", "times": ["green"] * 7}]}
    sent = client.put(ADDRESS, week, content_type="application/json", headers={"Idempotency-Key": "three"})
    assert sent.status_code == 201
    assert family.board(OWNER, "child", MONDAY).board.score == 7
