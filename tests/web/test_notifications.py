"""What a family is told is counted in the menu, listed, and read once it was looked at."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import quote

from django.db import connection
from django.test import Client

from habits import family
from habits.family import Contents, Line
from habits.models import Notification, User
from tests.habits.legacy_strategies import OTHER_OWNER, OWNER

MONDAY = date(2025, 7, 21)
WEEK = f"/children/{quote('달이')}/weeks/2025-07-21/"


def all_green(owner: object = OWNER) -> Notification:
    """A week that is all green, and what the family is told of it."""
    family.put(owner, "달이", MONDAY, Contents(habits=[Line("책", ["green"] * 7)]))
    return Notification.objects.get(user_id=owner)


def test_a_green_week_is_counted_listed_and_read_by_looking_at_it(client: Client) -> None:
    told = all_green()
    assert "읽지 않은 알림 1개" in client.get("/").content.decode()
    page = client.get("/notifications/").content.decode()
    assert told.title in page
    (action,) = re.findall(r'action="(/notifications/[^"]+)"', page)
    for _ in range(2):
        assert client.post(action).headers["Location"] == WEEK
    assert "읽지 않은" not in client.get("/").content.decode()
    assert "새 알림" not in client.get("/notifications/").content.decode()


def test_looking_is_a_post_of_the_family_itself(client: Client) -> None:
    theirs = all_green(OTHER_OWNER)
    assert client.get(f"/notifications/{theirs.pk}/read/").status_code == 405
    assert client.post(f"/notifications/{theirs.pk}/read/").status_code == 404
    assert theirs.title not in client.get("/notifications/").content.decode()
    theirs.refresh_from_db()
    assert not theirs.is_read


def test_a_link_never_leads_away_from_here(client: Client) -> None:
    told = all_green()
    Notification.objects.filter(pk=told.pk).update(link_url="https://elsewhere.example/")
    assert client.post(f"/notifications/{told.pk}/read/").headers["Location"] == "/notifications/"


def test_older_ones_are_on_further_pages(client: Client) -> None:
    Notification.objects.bulk_create(
        Notification(user_id=OWNER, type="mention", title=f"number {n}") for n in range(25)
    )
    page = client.get("/notifications/").content.decode()
    (older,) = re.findall(r'href="(\?before=[^"]+)"', page)
    both = page + client.get(f"/notifications/{older}").content.decode()
    assert {f"number {n}" for n in range(25)} <= set(re.findall(r"number \d+", both))
    assert client.get("/notifications/?before=nonsense").status_code == 404


def test_pages_are_there_though_the_number_is_not_to_be_had(client: Client, families: dict[str, User]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE notifications RENAME COLUMN is_read TO away")
    try:
        assert client.get("/templates/").status_code == 200
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE notifications RENAME COLUMN away TO is_read")
