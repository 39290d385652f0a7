"""A Chromium of this machine, a site to look at, and a family with boards in either kind of installation."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from config.browser import CANDIDATES
from habits import family
from habits.board import Board, Reflection
from habits.family import Contents, Line
from habits.models import User
from tests.families.conftest import Installation, file, table, uncaptured  # noqa: F401
from tests.habits.legacy_files import OTHER, OWNER

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
PASSWORD = "a quiet morning"
CHILD = "하늘"
MONDAY = date(2025, 7, 21)
WEEK = f"/children/{quote(CHILD)}/weeks/2025-07-21/"
BLANK = ["none"] * 7
HABITS = ("아침 (6-9시) 양치하기", "책 읽기", "방 정리하기")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's own; `bin/test` installs one where there is none."""
    path = next(filter(None, map(shutil.which, CANDIDATES)), None)
    assert path, "There is no Chromium on this machine; bin/test installs one."
    # The driver's event loop runs in this thread, and Django would refuse to be used beside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


either_installation = pytest.mark.parametrize("installation", ["table", "file"], indirect=True)
"""What is about stores is looked at with the legacy table and with the legacy file; all else with the table."""


@pytest.fixture
def installation(request: pytest.FixtureRequest, transactional_db: None) -> Installation:
    made: Installation = request.getfixturevalue(getattr(request, "param", "table"))
    return made


@dataclass(frozen=True)
class Site:
    """The site as this family's browser sees it.

    Attributes:
        legacy: the installation behind it, at stage `dual_write`.
    """

    url: str
    legacy: Installation
    chromium: Browser
    open: ExitStack

    def visit(self, path: str = WEEK, *, logged_in: bool = True, language: str = "ko", **options: Any) -> Page:
        """A page in a browser of its own, phone-sized unless the options say otherwise."""
        context = self.chromium.new_context(
            **{"viewport": PHONE, "has_touch": True, "base_url": self.url, "locale": language, **options}
        )
        context.set_default_timeout(15_000)
        self.open.callback(context.close)
        if logged_in:
            self._log_in(context, User.objects.get(pk=OWNER))
        page = context.new_page()
        page.goto(path)
        return page

    def visit_as_operator(self, path: str, *, language: str = "en", **options: Any) -> Page:
        """The same for a member of the staff in the group `migration operators`."""
        user, _made = User.objects.get_or_create(email="operators@example.org", defaults={"is_staff": True})
        user.groups.add(Group.objects.get(name="migration operators"))
        page = self.visit("/accounts/login/", logged_in=False, language=language, **options)
        self._log_in(page.context, user)
        page.goto(path)
        return page

    def _log_in(self, context: BrowserContext, user: User) -> None:
        client = Client()
        client.force_login(user)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": self.url}])


@pytest.fixture
def site(chromium: Browser, live_server: Any, installation: Installation, settings: Any) -> Iterator[Site]:
    """A family with one board, `HABITS` and a green mark on the first Monday, in both stores."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # As they stand in the checkout: what a demo collected some time ago is another version of them.
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    expect.set_options(timeout=15_000)
    installation.reach("dual_write")
    for owner, email in ((OWNER, "family@example.org"), (OTHER, "other@example.org")):
        user = User.objects.get(pk=owner)
        user.email = email
        user.set_password(PASSWORD)
        user.save()
    first, *others = HABITS
    lines = [Line(first, ["green", *BLANK[1:]]), *(Line(name, BLANK) for name in others)]
    family.put(
        OWNER, CHILD, MONDAY, Contents("바다 탐험", "수영장", Reflection("수요일", "양치하기", "일찍 자기"), lines)
    )
    with ExitStack() as open_contexts:
        yield Site(live_server.url, installation, chromium, open_contexts)


@pytest.fixture
def board() -> Callable[[], Board]:
    """The board as families are served it."""
    return lambda: family.board(OWNER, CHILD, MONDAY).board


def cell(page: Page, name: str) -> Any:
    """The circle that a screen reader calls so, whatever its mark."""
    return page.locator(f'.cell[data-place="{name}"]')


def api(page: Page) -> str:
    """Where the board of this page sends its taps, as a pattern for routes."""
    return f"**{page.locator('#board').get_attribute('data-api')}"


def press(page: Page, selector: str) -> None:
    """Press the first of these buttons, and be on the page that it leads to."""
    with page.expect_event("load"):
        page.locator(selector).first.click()
