"""A unique key that somebody dropped lets a board stand there twice, and nobody would see the second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from tests.acceptance.commands import run

NAME = "weeks_child_week_start_date_key"


@pytest.fixture
def dropped(transactional_db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE weeks DROP CONSTRAINT {NAME}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM weeks")
        cursor.execute(f"ALTER TABLE weeks ADD CONSTRAINT {NAME} UNIQUE (child_id, week_start_date)")


def test_without_a_unique_key_nothing_passes(dropped: None, legacy_table: Callable[[], list[dict[str, Any]]]) -> None:
    checked = run("validate_migration")
    assert checked.exit_code == 1
    assert not checked["complete"]
    assert any(NAME in reason for reason in checked["reasons"])
    preflight = run("preflight")
    assert preflight.exit_code == 1
    assert any(NAME in check["message"] for check in preflight["checks"] if check["status"] == "fail")
    assert run("stage", "advance").exit_code == 4
