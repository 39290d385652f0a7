"""What a family sees when something is wrong: a page in its language, without a database where there is none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import OperationalError, connection
from django.test import Client

from habits.models import User
from tests.engine.syncing import second_connection
from tests.habits.legacy_database import insert, row

WEEK = f"/children/{quote('달이')}/weeks/2025-07-21/"
PATIENCE = timedelta(milliseconds=200)


def test_a_page_that_does_not_exist_says_so_in_the_familys_language(client: Client) -> None:
    page = client.get("/nothing/")
    assert page.status_code == 404
    assert "여기에는 아무것도 없습니다" in page.content.decode()
    assert "There is nothing here" in Client(headers={"accept-language": "en"}).get("/nothing/").content.decode()


def test_without_a_database_there_is_a_page_that_asks_to_try_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(connection, "cursor", away)
    client.raise_request_exception = False
    page = client.get("/")
    monkeypatch.undo()
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert "잠시만 기다려 주세요" in page.content.decode()


def test_a_legacy_file_that_cannot_be_read_is_no_fault_of_the_page(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    file = tmp_path / "habit_tracker.json"
    file.write_text('{"records": [')
    settings.LEGACY_BACKEND, settings.LEGACY_JSON_PATH = "json", str(file)
    client.raise_request_exception = False
    page = client.get("/")
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert "habit_tracker" not in page.content.decode()


def test_a_fault_of_ours_is_a_page_that_shows_nothing_of_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("habits.web.children.family.children", broken)
    client.raise_request_exception = False
    page = client.get("/")
    assert page.status_code == 500
    assert "문제가 생겼습니다" in page.content.decode()
    assert "secret" not in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_write_that_others_keep_waiting_too_long_is_a_page_and_no_change(
    families: dict[str, User], settings: Any
) -> None:
    insert(row(5))
    settings.MIGRATION_OPS = {**getattr(settings, "MIGRATION_OPS", {}), "WRITE_PATIENCE": PATIENCE}
    client = Client(headers={"accept-language": "ko"})
    client.force_login(families["family"])
    with second_connection() as other:
        other.execute("LOCK TABLE habit_tracker IN ACCESS EXCLUSIVE MODE")
        page = client.post(f"{WEEK}habits/", {"token": "1", "habit": "책"})
        other.rollback()
    assert page.status_code == 503
    assert "방금 바꾼 것은 저장되지 않았으니" in page.content.decode()
    assert client.post(f"{WEEK}habits/", {"token": "1", "habit": "책"}).status_code == 303
    assert client.get(WEEK).content.decode().count('name="cell"') == 14
