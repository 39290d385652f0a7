"""What a family is told: the newest first, page by page, its own alone, and read once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from habits import notifications
from habits.models import Notification as Row
from habits.models import User
from habits.notifications import NoSuchNotification
from tests.habits.legacy_files import OTHER, OWNER

NOON = datetime(2025, 7, 21, 12, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("families")


@pytest.fixture
def families(db: None) -> None:
    for owner in (OWNER, OTHER):
        User.objects.create(id=owner, email=f"{owner}@example.org")


def tell(title: str, *, owner: UUID = OWNER, minutes: int = 0) -> UUID:
    row = Row.objects.create(user_id=owner, type="mention", title=title)
    Row.objects.filter(pk=row.pk).update(created_at=NOON + timedelta(minutes=minutes))
    return row.pk


def titles(before: UUID | None = None, limit: int = 20) -> list[str]:
    return [said.title for said in notifications.listed(owner=OWNER, before=before, limit=limit).notifications]


def test_the_newest_comes_first_and_nobody_elses() -> None:
    tell("둘", minutes=2), tell("하나", minutes=1), tell("셋", minutes=3), tell("남의", owner=OTHER, minutes=4)
    assert titles() == ["셋", "둘", "하나"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_the_pages_together_are_everything_once_even_if_told_at_the_same_moment(limit: int) -> None:
    expected = [tell(str(number), minutes=number // 3) for number in range(8)]
    found: list[UUID] = []
    before = None
    for _ in expected:
        page = notifications.listed(owner=OWNER, before=before, limit=limit)
        assert 1 <= len(page.notifications) <= limit
        found += [said.id for said in page.notifications]
        before = page.before
        if before is None:
            break
        assert before == page.notifications[-1].id
        tell("later", minutes=1_000)
    assert len(found) == len(set(found))
    assert set(found) == set(expected)


def test_a_page_is_never_longer_than_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "MOST_LISTED", 2)
    for number in range(3):
        tell(str(number))
    assert len(titles(limit=1_000)) == 2
    assert len(titles(limit=0)) == 1


def test_the_unread_are_counted_over_all_pages() -> None:
    for number in range(3):
        tell(str(number), minutes=number)
    tell("남의", owner=OTHER)
    page = notifications.listed(owner=OWNER, limit=1)
    assert page.unread == notifications.unread(owner=OWNER) == 3
    assert page.before == page.notifications[0].id


def test_reading_is_done_once_and_stays() -> None:
    first, second = tell("하나"), tell("둘")
    assert notifications.mark_read(owner=OWNER, notification=first).is_read
    changed = Row.objects.get(pk=first).updated_at
    assert notifications.mark_read(owner=OWNER, notification=first).is_read
    assert Row.objects.get(pk=first).updated_at == changed
    assert notifications.unread(owner=OWNER) == 1
    assert not Row.objects.get(pk=second).is_read


def test_another_familys_message_does_not_exist() -> None:
    theirs = tell("남의", owner=OTHER)
    for unknown in (theirs, uuid4()):
        with pytest.raises(NoSuchNotification, match=r"\S"):
            notifications.mark_read(owner=OWNER, notification=unknown)
        with pytest.raises(NoSuchNotification):
            notifications.listed(owner=OWNER, before=unknown)
    assert not Row.objects.get(pk=theirs).is_read
