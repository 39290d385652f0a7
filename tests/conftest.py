"""What every test needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection as database
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.test import TransactionTestCase
from django.utils import translation
from hypothesis import HealthCheck, settings

from migration_ops.guards import MAY_TRUNCATE
from migration_ops.rollout import fallback
from tests.emptying import Emptying

# How long an example takes says more about the machine than about what is tested.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def _may_start_over(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Let connections of the test process empty the guarded tables: transactional tests end with TRUNCATE.

    Processes that tests start are not included, and a test can take it back with `SET`.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, 'yes', false)", [MAY_TRUNCATE])


connection_created.connect(_may_start_over, dispatch_uid="tests.may_start_over")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database, without the tables of waffle's own flag: nobody uses them, but they refer to users, and the
    TRUNCATE after a transactional test stumbles over them. What such a test leaves is emptied in our own way."""
    with django_db_blocker.unblock(), database.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS waffle_flag_users, waffle_flag_groups")
    with pytest.MonkeyPatch.context() as patching:
        emptying = Emptying()
        patching.setattr(TransactionTestCase, "_fixture_teardown", lambda case: emptying(case))
        yield


@pytest.fixture(autouse=True)
def _in_the_language_of_the_site() -> None:
    """What language the last request of the test before was in must not decide what this one reads."""
    translation.deactivate()


@pytest.fixture(autouse=True)
def closed_breakers() -> None:
    """What failed in the test before says nothing about the store now."""
    fallback.breaker_of.cache_clear()
