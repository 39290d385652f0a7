"""Times that people read: one time zone for all of them, and its name beside each."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import migration_ops
from migration_ops import moment
from migration_ops.definition import AnyMigration
from migration_ops.models import HistoryEntry
from tests.engine.staff import member, room
from tests.engine.syncing import begin_dual_write

ROOT = Path(migration_ops.__file__).resolve().parent.parent
EVIDENCE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")
"""As JSON has it, with its offset."""

MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:KST|CES?T)")


@pytest.mark.parametrize(
    ("zone", "at", "shown"),
    [
        ("Asia/Seoul", datetime(2025, 7, 20, 23, 59, 58, tzinfo=UTC), "2025-07-21 08:59:58 KST"),
        ("Europe/Berlin", datetime(2025, 7, 20, 23, 59, 58, tzinfo=UTC), "2025-07-21 01:59:58 CEST"),
        ("Europe/Berlin", datetime(2025, 1, 20, 9, tzinfo=timezone(timedelta(hours=9))), "2025-01-20 01:00:00 CET"),
    ],
)
def test_a_moment_is_shown_in_the_zone_of_the_settings_and_says_so(
    settings: Any, zone: str, at: datetime, shown: str
) -> None:
    settings.TIME_ZONE = zone
    assert moment.shown(at) == shown


def test_nobody_else_writes_a_time_of_day_for_people() -> None:
    sources = [path for name in ("migration_ops", "habits") for path in (ROOT / name).rglob("*.py")]
    assert len(sources) > 300
    assert {path.name for path in sources if "%H:%M" in path.read_text()} == {"moment.py"}
    without_zone = re.compile(r'date:"(?!MONTH_DAY_FORMAT|DATE_FORMAT)[^"]*[GgHhPisu]')
    templates = (ROOT / "templates").rglob("*.html")
    assert [path.name for path in templates if without_zone.search(path.read_text())] == []


@pytest.mark.parametrize("zone", ["Asia/Seoul", "Europe/Berlin"])
@pytest.mark.parametrize("language", ["ko", "en"])
def test_pages_name_the_zone_of_every_time(notes: AnyMigration, settings: Any, zone: str, language: str) -> None:
    settings.TIME_ZONE = zone
    begin_dual_write(notes)
    entry = HistoryEntry.objects.latest("id")
    staff = member("viewers", language)
    pages = [
        staff.get(address).content.decode()
        for address in (
            room(notes),
            "/admin/migration_ops/historyentry/",
            f"/admin/migration_ops/historyentry/{entry.pk}/change/",
            "/admin/migration_ops/migrationstate/",
        )
    ]
    for page in pages:
        assert moment.shown(entry.at) in page
        text = EVIDENCE.sub("", re.sub(r"<[^>]+>", "", page))
        assert re.findall(r".{20}\d\d:\d\d:\d\d.{10}", MOMENT.sub("", text)) == []
