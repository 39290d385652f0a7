"""Two families with accounts, and boards of theirs in the legacy table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from habits.models import User
from tests.habits import legacy_database
from tests.habits.legacy_strategies import OTHER_OWNER, OWNER

PASSWORD = "a quiet morning"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Hashing a password is slow on purpose, and no subject of these tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def families(db: None) -> Iterator[dict[str, User]]:
    """The family of the boards in these tests, and another one; both know `PASSWORD`."""
    legacy_database.prepare()
    found = {}
    for name, owner in (("family", OWNER), ("other", OTHER_OWNER)):
        user = User.objects.get(pk=owner)
        user.email = f"{name}@example.org"
        user.set_password(PASSWORD)
        user.save()
        found[name] = user
    yield found
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS habit_tracker")


@pytest.fixture
def client(families: dict[str, User]) -> Client:
    """The family's browser, logged in, in Korean."""
    client = Client(headers={"accept-language": "ko"})
    client.force_login(families["family"])
    return client


@pytest.fixture
def stranger() -> Client:
    """A browser of nobody, in English."""
    return Client(headers={"accept-language": "en"})
