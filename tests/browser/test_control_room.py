"""Staff steer the rollout by buttons, in a browser, and who may only look is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from playwright.sync_api import Page, expect

from habits.migration import boards
from habits.models import User
from migration_ops import state
from migration_ops.rollout import control
from tests.browser.conftest import DESKTOP, PHONE, Site, press
from tests.browser.test_accessibility import LOOKS, findings
from tests.engine.syncing import command, go_to_ramp, run

pytestmark = pytest.mark.django_db(transaction=True)

ROOM = "/admin/migration_ops/dashboard/boards/"

Visit = Callable[..., Page]


@pytest.fixture
def visit(site: Site) -> Iterator[Visit]:
    """Opens the control room in a browser of its own, for a member of the group `migration {kind}`."""
    assert command("backfill")[0] == 0
    assert command("shadow_schema", "validate")[0] == 0
    assert command("validate_migration")[0] == 0
    go_to_ramp(boards, percent=5)

    def opened(kind: str, *, path: str = ROOM, language: str = "en", **options: Any) -> Page:
        user, _made = User.objects.get_or_create(email=f"{kind}@example.org", defaults={"is_staff": True})
        user.groups.add(Group.objects.get(name=f"migration {kind}"))
        client = Client()
        client.force_login(user)
        page = site.visit("/accounts/login/", logged_in=False, language=language, **options)
        page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site.url}])
        page.goto(path)
        return page

    yield opened
    for key in boards.foreign_keys:
        run(f"ALTER TABLE {key.table} DROP CONSTRAINT {key.name}")


def act(page: Page, verb: str, why: str = "") -> None:
    """Press a button, say why, and confirm."""
    page.locator(f"#do-{verb}").click()
    page.get_by_label("Why").fill(why)
    page.locator("#confirm").click()
    page.wait_for_url(f"**{ROOM}")


def test_one_vouches_another_advances_and_rolls_back_and_who_looks_on_is_refused(visit: Visit) -> None:
    operator = visit("operators", viewport=DESKTOP, has_touch=False)
    operator.locator("#do-advance").click()
    expect(operator.get_by_role("alert")).to_contain_text("Not moved from 5 to 20 %")
    expect(operator.locator("#confirm")).to_have_count(0)
    expect(operator.locator("#vouch")).to_have_count(0)

    act(visit("approvers"), "override", "seen by two of us")

    operator.goto(ROOM)
    act(operator, "advance", "a quiet day")
    expect(operator.get_by_role("heading", name="ramp at 20 %", exact=True)).to_be_visible()
    assert state.read(boards).percent == 20

    act(operator, "rollback", "and back")
    expect(operator.get_by_role("heading", name="ramp at 0 %", exact=True)).to_be_visible()
    assert state.read(boards).percent == 0
    history = operator.locator("tr", has_text="and back")
    expect(history).to_contain_text("admin: operators@example.org")
    expect(history).to_contain_text("20 % → 0 %")

    viewer = visit("viewers")
    expect(viewer.get_by_role("heading", name="ramp at 0 %", exact=True)).to_be_visible()
    expect(viewer.locator("button[formaction]")).to_have_count(0)
    # A button that the page does not have: the form that logs out, with its token, sent to the address of an action.
    viewer.locator("#logout-form").evaluate(f"form => {{ form.action = '{ROOM}kill/'; form.submit() }}")
    expect(viewer.get_by_text("Your account may not see this page.")).to_be_visible()
    assert not state.read(boards).kill


def test_what_others_do_appears_by_itself(visit: Visit) -> None:
    page = visit("operators")
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    control.kill(boards, actor="somebody else")
    expect(page.get_by_text("Killed: every read is answered by legacy.")).to_be_visible()
    expect(page.locator("#do-unkill")).to_be_visible()
    act(page, "unkill")
    assert not state.read(boards).kill
    assert problems == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_on_a_phone_the_history_is_read_without_moving_sideways(visit: Visit, language: str) -> None:
    reason = "because " + "it-was-seen-" * 20
    control.set_percent(boards, Decimal(20), actor="ops", reason=reason, override=True)
    page = visit("viewers", language=language, viewport=PHONE)
    history = page.locator(".history")
    expect(history.locator("tbody tr").first).to_contain_text(reason)
    beyond = history.evaluate(
        "table => [...table.querySelectorAll('tbody *')].filter(each => each.getBoundingClientRect().width"
        " && (each.getBoundingClientRect().right > innerWidth || each.scrollWidth > each.clientWidth + 1)"
        " && getComputedStyle(each).display !== 'inline').map(each => each.outerHTML)"
    )
    assert beyond == []
    heads = history.locator("tbody tr").first.locator("[data-head]")
    shown = heads.evaluate_all("cells => cells.map(cell => getComputedStyle(cell, '::before').content)")
    named = heads.evaluate_all("cells => cells.map(cell => cell.dataset.head)")
    assert len(named) == 6
    assert all(name in content for name, content in zip(named, shown, strict=True))


@pytest.mark.parametrize("verb", ["kill", "rollback"])
def test_a_phone_without_javascript_brings_the_reads_back_with_two_taps(visit: Visit, verb: str) -> None:
    page = visit("operators", viewport={"width": 375, "height": 667}, java_script_enabled=False)
    page.locator(f"#do-{verb}").tap()
    page.locator("#confirm").tap()
    page.wait_for_url(f"**{ROOM}")
    now = state.read(boards)
    assert (now.kill, now.percent) == ((True, 5) if verb == "kill" else (False, 0))


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_in_the_control_room(visit: Visit, look: dict[str, Any]) -> None:
    found = {}
    page = visit("approvers", **look)
    for verb in ("", "advance", "kill", "canary", "override"):
        page.goto(ROOM)
        if verb:
            press(page, f"#do-{verb}")
        found[verb] = findings(page)
        if look["viewport"] == PHONE:
            wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
            assert not wide, f"{verb or 'the room'} is wider than the phone"
    assert {verb: said for verb, said in found.items() if said} == {}
