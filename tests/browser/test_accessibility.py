"""axe finds nothing on any page, in light and in dark, on a phone and on a desktop."""

from __future__ import annotations

from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest
from django.test import RequestFactory
from playwright.sync_api import Page

from habits import sign_up, templates
from habits.board import monday_of
from habits.web import errors
from habits.web.visitor import today
from tests.browser.conftest import CHILD, DESKTOP, PHONE, WEEK, Site, api, cell
from tests.habits.legacy_files import OWNER

pytestmark = pytest.mark.django_db(transaction=True)

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")

LOOKS = [
    pytest.param({"viewport": PHONE, "color_scheme": "light", "language": "ko"}, id="phone-light-ko"),
    pytest.param({"viewport": DESKTOP, "color_scheme": "dark", "language": "en"}, id="desktop-dark-en"),
    pytest.param(
        {"viewport": PHONE, "color_scheme": "dark", "language": "ko"}, id="phone-dark-ko", marks=pytest.mark.slow
    ),
    pytest.param(
        {"viewport": DESKTOP, "color_scheme": "light", "language": "en"}, id="desktop-light-en", marks=pytest.mark.slow
    ),
]


def findings(page: Page) -> list[tuple[str, list[Any]]]:
    """What axe has to say, rule by rule, with the places."""
    found = page.evaluate(f"{AXE}\n; axe.run()") if page.evaluate("!window.axe") else page.evaluate("axe.run()")
    assert found["passes"], "axe did not look"
    return [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]]


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_on_any_page(site: Site, look: dict[str, Any]) -> None:
    template = templates.create(owner=OWNER, name="방학", habits=["수영하기"], is_default=True)
    child = f"/children/{quote(CHILD)}/"
    found = {}
    page = site.visit("/accounts/login/", logged_in=False, **look)
    ticket = sign_up.ticket("new@example.org")
    for path in ("login/", "sign-up/", "sign-up/sent/", f"sign-up/{ticket}/", "sign-up/x/", "password/reset/"):
        page.goto(f"/accounts/{path}")
        found[path] = findings(page)

    page = site.visit("/", **look)
    paths = (
        "/",
        WEEK,
        f"{WEEK}delete/",
        f"{WEEK}habits/0/remove/",
        f"{WEEK}begin/ask/?source={template.id}",
        f"{child}weeks/{monday_of(today())}/",
        f"{child}stats/",
        "/templates/",
        "/notifications/",
        "/templates/new/",
        f"/templates/{template.id}/",
        f"/templates/{template.id}/delete/",
        "/accounts/password/",
        "/nothing/",
    )
    for path in paths:
        page.goto(path)
        for summary in page.locator("summary").all():
            summary.evaluate("found => { found.parentElement.open = true }")
        found[path] = findings(page)
    assert {path: said for path, said in found.items() if said} == {}


@pytest.mark.parametrize("look", LOOKS[:2])
def test_axe_finds_nothing_when_something_failed(site: Site, look: dict[str, Any]) -> None:
    page = site.visit(**look)
    page.route(api(page), lambda route: route.fulfill(status=404))
    for circle in page.locator(".cell").all()[:4]:
        circle.click()
    page.locator(".cell.failed").nth(3).wait_for()
    assert findings(page) == []


def test_the_pages_of_errors_are_fine_as_well(site: Site) -> None:
    page = site.visit("/")
    for answer in (errors.csrf_failure(RequestFactory().get("/")), errors.unavailable()):
        page.set_content(answer.content.decode())
        assert findings(page) == []


def test_the_way_through_the_page_begins_with_its_content(site: Site) -> None:
    page = site.visit(viewport=DESKTOP, has_touch=False)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    assert cell(page, "월요일, 책 읽기").count() == 1
