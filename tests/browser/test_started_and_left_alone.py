"""A member of the staff starts a backfill in the admin and goes home; the worker's plug is pulled; the run finishes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import expect

from migration_ops.backfill import batch
from migration_ops.models import Run
from tests.browser.conftest import DESKTOP, Site, press
from tests.engine.background import Background
from tests.engine.quick_settings import MIGRATION_OPS
from tests.engine.syncing import command
from tests.families.conftest import Installation
from tests.habits.legacy_files import OWNER

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = "/admin/migration_ops/dashboard/boards/runs/"
ROWS = 1_500
MARKS = 2 * ROWS + 1
"""Two a row, and the one of the family whose site it is."""


@pytest.fixture
def installation(table: Installation) -> Installation:
    """Many weeks of forty children, from before anything was captured."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO habit_tracker (child_name, week_period, week_start_date, habits, user_id)"
            " SELECT '아이 ' || n %% 40, n::text, date '2020-01-06' + 7 * (n / 40), %s, %s"
            " FROM generate_series(0, %s) AS n",
            ['[{"id": 1, "name": "양치하기", "times": ["green", "", "red", "", "", "", ""]}]', OWNER, ROWS - 1],
        )
    return table


@pytest.fixture
def background(site: Site, settings: Any) -> Iterator[Background]:
    made = Background()
    settings.RQ_QUEUES = {"default": {"URL": made.url, "SERIALIZER": "rq.serializers.JSONSerializer"}}
    settings.MIGRATION_OPS = MIGRATION_OPS
    yield made
    made.end()


def rows_read() -> int:
    return sum(each.counters.get("rows_read", 0) for each in Run.objects.get(kind="backfill").ranges.all())


def test_a_backfill_that_staff_started_finishes_by_itself_when_the_worker_is_killed(
    site: Site, background: Background
) -> None:
    background.run("manage.py", "scheduler")
    dying = background.run("manage.py", "rqworker", "default", failpoint=f"{batch.SAVED}:2")

    page = site.visit_as_operator(RUNS, viewport=DESKTOP, has_touch=False)
    press(page, "#do-backfill-start")
    expect(page.get_by_text("Would begin a new backfill")).to_be_visible()
    press(page, "#confirm")
    expect(page.get_by_text("is started in the background")).to_be_visible()
    page.context.close()

    background.eventually(lambda: f"(signal {signal.SIGKILL})" in background.said())
    dying.kill()
    dying.wait()
    assert Run.objects.get(kind="backfill").status == "running"
    assert rows_read() < ROWS
    background.run("manage.py", "rqworker", "default")
    background.eventually(lambda: Run.objects.get(kind="backfill").status == "succeeded")

    page = site.visit_as_operator(f"{RUNS}?kind=backfill", viewport=DESKTOP, has_touch=False)
    expect(page.get_by_text("No run is under way.")).to_be_visible()
    expect(page.get_by_text("succeeded")).to_be_visible()
    code, found = command("validate_migration")
    assert (code, found["cells"]) == (0, {"legacy": MARKS, "modern": MARKS, "equal": MARKS})
