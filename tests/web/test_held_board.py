"""A week of which a row waits for a person: said in a friendly sentence, and nothing of it is changed."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from django.test import Client

from habits.migration import boards
from habits.models import User
from migration_ops.backfill import service
from tests.families.conftest import Installation, file, installation, table, uncaptured  # noqa: F401
from tests.habits.legacy_database import row
from tests.habits.legacy_files import OWNER

WEEK = f"/children/{quote('달이')}/weeks/2025-07-21/"
BLUE = [{"id": 1, "name": "물 마시기", "times": ["blue", *[""] * 6]}]


@pytest.fixture
def parent(installation: Installation) -> Client:  # noqa: F811
    """Whose week of 21 July cannot be read, and whose week of 14 July can."""
    installation.insert(
        row(1, habits=BLUE), row(2, week_start_date="2025-07-14", week_period="2025년 7월 14일 ~ 2025년 7월 20일")
    )
    installation.reach("dual_write")
    service.start(boards, service.Request(actor="test"))
    client = Client(headers={"accept-language": "ko"})
    client.force_login(User.objects.get(pk=OWNER))
    return client


def test_a_week_that_cannot_be_shown_is_being_looked_after(parent: Client) -> None:
    page = parent.get(WEEK)
    assert page.status_code == 200
    assert "사라진 것은 없으며" in page.content.decode()
    assert "이 주에는 아직 보드가 없습니다" not in page.content.decode()


def test_it_cannot_be_begun_anew_over_what_is_there(parent: Client, installation: Installation) -> None:  # noqa: F811
    before = installation.rows()
    page = parent.post(f"{WEEK}begin/", {"token": "1", "source": "nothing"}, follow=True)
    assert "담당자가 살펴보고 있어 지금은 바꿀 수 없습니다" in page.content.decode()
    assert installation.rows() == before
