"""The pages of a migration beside the control room, in a browser: they can be used, and axe finds nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from playwright.sync_api import Page, expect

from habits.migration import boards
from habits.models import User
from migration_ops import runs
from migration_ops.backfill.opening import open_run
from migration_ops.backfill.request import Request
from migration_ops.models import Alert, AlertMessage, Difference, QuarantineItem, Run, RunStatus
from migration_ops.sync.applier import drain
from tests.browser.conftest import CHILD, DESKTOP, MONDAY, PHONE, Site, press
from tests.browser.test_accessibility import LOOKS, findings
from tests.engine.syncing import command

pytestmark = pytest.mark.django_db(transaction=True)

ROOM = "/admin/migration_ops/dashboard/boards/"
QUARANTINE = f"{ROOM}quarantine/"
INSPECT = f"{ROOM}inspect/"

Visit = Callable[..., Page]


@pytest.fixture
def visit(site: Site) -> Visit:
    """Opens a page in a browser of its own, for an operator; four rows wait, three of them of nobody's."""
    assert command("backfill")[0] == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO habit_tracker (child_name, week_period, week_start_date, habits, user_id)"
            " SELECT '바다' || n, '', date '2025-07-28', '[]', NULL FROM generate_series(1, 3) AS n"
        )
        cursor.execute(
            "INSERT INTO habit_tracker (child_name, week_period, week_start_date, habits, user_id)"
            " SELECT '구름', '', date '2025-07-28', %s, user_id FROM habit_tracker WHERE user_id IS NOT NULL LIMIT 1",
            ['[{"id": 1, "name": "<b>책</b> 읽기", "times": ["purple", "", "", "", "", "", ""]}]'],
        )
    drain(boards)

    return site.visit_as_operator


def differ(week: date) -> Difference:
    """The theme of the family's board of this week differs, as a drift run found it."""
    owner = str(User.objects.get(email="family@example.org").pk)
    key = boards.encode_key(boards.key_form.read({"owner": owner, "child": CHILD, "week_start": str(week)}))  # type: ignore[union-attr]
    done = {"boards_compared": 1, "touched": 1, "sampled": 3000, "power": 0.001, "new": 1, "confirmed": 0}
    now = timezone.now()
    run = Run.objects.create(
        migration="boards", kind="drift", status="succeeded", started_at=now, ended_at=now, result=done
    )
    return Difference.objects.create(
        migration="boards",
        run=run,
        key=key,
        kind="mismatched",
        severity="medium",
        fields=[{"path": "theme", "legacy": "바다 탐험", "modern": "<b>산</b>"}],
        found_at=now,
        seen_at=now,
    )


def waiting(code: str) -> int:
    return QuarantineItem.objects.filter(code=code, status="open").count()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_rows_are_given_an_owner_on_a_phone(visit: Visit, scripts: bool) -> None:
    page = visit(QUARANTINE, java_script_enabled=scripts)
    page.get_by_role("link", name="open 3").tap()
    page.get_by_role("checkbox").first.check()
    page.locator("#do-quarantine-assign").tap()
    page.get_by_label("Whose the rows are").fill("family@example.org")
    page.locator("#look").tap()
    expect(page.get_by_text("Would give 1 row this owner.")).to_be_visible()
    assert waiting("owner_missing") == 3
    page.locator("#confirm").tap()
    expect(page.get_by_text("1 row has an owner now.")).to_be_visible()
    assert waiting("owner_missing") == 2


def test_all_rows_of_a_code_are_accepted_by_keyboard(visit: Visit) -> None:
    page = visit(f"{QUARANTINE}?listed=owner_missing", viewport=DESKTOP, has_touch=False)
    page.locator("#whole-quarantine-accept").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Would accept that 3 rows stay behind.")).to_be_visible()
    page.get_by_label("Why").fill("nobody knows them")
    page.locator("#confirm").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Accepted: 3 rows stay behind.")).to_be_visible()
    assert waiting("owner_missing") == 0


def test_a_board_is_looked_up_by_owner_child_and_week(visit: Visit) -> None:
    page = visit(INSPECT)
    page.get_by_label("Account: e-mail address or ID").fill("family@example.org")
    page.get_by_label("Child").fill(CHILD)
    page.get_by_label("A day of the week").fill("2025-07-23")
    page.locator("#inspect").tap()
    expect(page.get_by_text("Both stores have it, and it is the same.")).to_be_visible()
    expect(page.get_by_text("바다 탐험").first).to_be_visible()


def test_a_difference_is_looked_at_and_repaired_on_a_phone_without_scripts(visit: Visit) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE weeks SET theme = '산' WHERE theme = '바다 탐험'")
    difference = differ(MONDAY)
    page = visit(f"{ROOM}differences/", java_script_enabled=False)
    page.get_by_role("link", name=CHILD).tap()
    expect(page.get_by_text("Different on the two sides.")).to_be_visible()
    page.locator("#do-difference-repair").tap()
    expect(page.get_by_text("Would write 1 and remove 0; 0 equal by now.")).to_be_visible()
    page.locator("#confirm").tap()
    expect(page.get_by_text("Written: 1, removed: 0, equal by now: 0.")).to_be_visible()
    expect(page.get_by_text("repaired").first).to_be_visible()
    difference.refresh_from_db()
    assert difference.status == "repaired"


def test_words_of_korean_stand_upright_beside_a_long_key_on_a_phone(visit: Visit) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE weeks SET theme = '산' WHERE theme = '바다 탐험'")
    differ(MONDAY)
    page = visit(f"{ROOM}differences/", language="ko")
    page.locator("#whole-difference-look").tap()
    rows = page.get_by_role("group", name="해당하는 행")
    expect(rows.get_by_role("row")).to_have_count(2)
    line = page.evaluate("parseFloat(getComputedStyle(document.querySelector('#content td')).lineHeight)")
    heads = rows.get_by_role("columnheader").all()
    assert len(heads) == 5
    for cell in (*heads, rows.get_by_role("cell", name="보통")):
        words = cell.evaluate(
            "cell => { const all = document.createRange(); all.selectNodeContents(cell);"
            " return all.getBoundingClientRect().height }"
        )
        assert words < 2 * line, cell.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def leave_a_run_at_hand() -> None:
    """A backfill that somebody paused in the middle."""
    with transaction.atomic():
        opened = open_run(boards, Request(actor="ann", restart=True))
        runs.close(opened, RunStatus.PAUSED, error="Interrupted; `manage.py backfill` goes on.")
    opened.run.ranges.filter(number=1).update(counters={"rows_read": 2, "written": 2})


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_on_the_pages_of_a_migration(visit: Visit, look: dict[str, Any]) -> None:
    page = visit(QUARANTINE, **look)
    alert = Alert.objects.create(
        migration="boards",
        problem="dirty_old",
        severity="critical",
        status="open",
        figures={"count": 3, "age_seconds": 900.0},
    )
    AlertMessage.objects.create(alert=alert, channel="mail", event="opened", payload={}, attempts=2, error="No answer.")
    differ(MONDAY)
    found = {}

    def look_at(name: str) -> None:
        for summary in page.locator("#content summary").all():
            summary.evaluate("found => { found.parentElement.open = true }")
        found[name] = findings(page)
        if look["viewport"] == PHONE:
            wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
            assert not wide, f"{name} is wider than the phone"
        if shots := os.environ.get("SHOTS"):
            kind = f"{look['viewport']['width']}-{look['color_scheme']}-{look['language']}"
            page.screenshot(path=str(Path(shots) / f"{name}-{kind}.png"), full_page=True)

    look_at("overview")
    page.goto(f"{QUARANTINE}?listed=status_unknown")
    look_at("list")
    page.get_by_role("checkbox").first.check()
    press(page, "#do-quarantine-accept")
    look_at("accept")
    page.goto(f"{QUARANTINE}?listed=owner_missing")
    press(page, "#whole-quarantine-assign")
    look_at("assign")
    page.goto(f"{INSPECT}?owner=family@example.org&child={CHILD}&week_start=2025-07-21")
    look_at("inspect")
    page.goto(f"{ROOM}alerts/")
    look_at("alerts")
    press(page, "[id^=acknowledge-]")
    look_at("acknowledge")
    page.goto(f"{ROOM}differences/")
    look_at("differences")
    page.get_by_role("checkbox").first.check()
    press(page, "#do-difference-repair")
    look_at("repair")
    page.goto(f"{ROOM}differences/")
    press(page, "#do-drift-look")
    look_at("drift-look")
    page.goto(f"{ROOM}differences/")
    with page.expect_event("load"):
        page.get_by_role("link", name=CHILD).first.click()
    look_at("difference")
    page.goto(f"{INSPECT}?owner=nobody&child=x&week_start=2025-07-21")
    look_at("refused")
    page.goto(f"{ROOM}runs/")
    press(page, "#do-backfill-start")
    look_at("start")
    leave_a_run_at_hand()
    page.goto(f"{ROOM}runs/")
    look_at("runs")
    press(page, "#do-backfill-resume")
    look_at("resume")
    assert {name: said for name, said in found.items() if said} == {}
