"""The weekly board in a browser: a tap answers at once, reaches both stores, and what cannot be saved is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect

from habits import family, templates
from habits.board import Board, rename_habit
from habits.migration import boards as migration
from habits.models import HabitRecord, IdempotencyRecord
from migration_ops.models import DirtyKey
from migration_ops.sync import applier
from tests.browser.conftest import (
    CHILD,
    HABITS,
    MONDAY,
    PASSWORD,
    PHONE,
    WEEK,
    Site,
    api,
    cell,
    either_installation,
)
from tests.engine.syncing import second_connection
from tests.engine.waiting import eventually
from tests.habits.legacy_files import OWNER

BRUSHING, READING, TIDYING = HABITS

pytestmark = pytest.mark.django_db(transaction=True)


def modern_marks() -> list[list[str]]:
    """By raw rows, habit by habit."""
    found: dict[int, list[str]] = {}
    rows = HabitRecord.objects.order_by("habit__display_order", "record_date")
    for order, status in rows.values_list("habit__display_order", "status"):
        found.setdefault(order, []).append(status)
    return [found[order] for order in sorted(found)]


def legacy_marks(site: Site) -> list[list[str]]:
    (row,) = site.legacy.marks()
    return [[status or "none" for status in times] for times in row]


def in_both(site: Site, position: int, day: int) -> tuple[str, str]:
    return legacy_marks(site)[position][day], modern_marks()[position][day]


def settled(page: Page) -> None:
    """Nothing is on its way any more."""
    expect(page.locator(".cell.sending, .cell.failed")).to_have_count(0)


@either_installation
def test_a_family_logs_in_on_a_phone_taps_and_finds_the_marks_in_both_stores(site: Site) -> None:
    page = site.visit("/", logged_in=False)
    page.get_by_label("이메일 주소").fill("family@example.org")
    page.get_by_label("비밀번호", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="로그인").click()
    page.get_by_role("link", name=CHILD).click()
    page.goto(WEEK)

    circle = page.get_by_role("button", name=f"수요일, {READING}: 빈칸")
    circle.tap()
    expect(cell(page, f"수요일, {READING}")).to_have_accessible_name(f"수요일, {READING}: 초록")
    expect(page.get_by_role("status").filter(has_text="21칸 중 초록 2칸")).to_be_visible()
    settled(page)
    assert in_both(site, 1, 2) == ("green", "green")

    page.reload()
    again = page.get_by_role("button", name=f"수요일, {READING}: 초록")
    again.tap()
    again = cell(page, f"수요일, {READING}")
    expect(again).to_have_accessible_name(f"수요일, {READING}: 노랑")
    again.tap()
    again.tap()
    expect(again).to_have_accessible_name(f"수요일, {READING}: 빈칸")
    settled(page)
    assert in_both(site, 1, 2) == ("none", "none")
    assert in_both(site, 0, 0) == ("green", "green")


def test_every_circle_is_large_enough_for_a_thumb(site: Site) -> None:
    for width in (320, PHONE["width"]):
        page = site.visit(viewport={"width": width, "height": 800})
        boxes = [found.bounding_box() for found in page.locator("button.cell").all()]
        assert len(boxes) == 21
        assert all(box and box["width"] >= 44 and box["height"] >= 44 for box in boxes)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_date_of_the_week_is_not_torn_in_two_lines(site: Site) -> None:
    """November has the longest name of the weeks whose two days are of one month."""
    page = site.visit(f"/children/{quote(CHILD)}/weeks/2026-11-23/", language="en")
    for day in page.locator(".period time").all():
        assert day.evaluate("day => day.getClientRects().length") == 1, day.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_keys_alone_are_enough(site: Site) -> None:
    page = site.visit(viewport={"width": 1280, "height": 900}, has_touch=False)
    cell(page, f"월요일, {TIDYING}").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(cell(page, f"화요일, {TIDYING}")).to_have_accessible_name(f"화요일, {TIDYING}: 초록")
    settled(page)
    assert modern_marks()[2][:3] == ["green", "green", "none"]


@either_installation
def test_the_page_is_in_english_for_those_who_choose_it(site: Site) -> None:
    page = site.visit(language="en")
    expect(page.get_by_role("button", name=f"Monday, {BRUSHING}: green")).to_be_visible()
    page.get_by_role("button", name="한국어").click()
    expect(page.get_by_role("button", name=f"월요일, {BRUSHING}: 초록")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_text("1 of 21 green")).to_be_visible()


def test_taps_are_answered_before_the_server_does_and_sent_in_their_order(
    site: Site, board: Callable[[], Board]
) -> None:
    page, held = site.visit(), []
    page.route(api(page), lambda route: held.append(route))
    circle = cell(page, f"금요일, {READING}")
    circle.tap()
    expect(circle).to_have_accessible_name(f"금요일, {READING}: 초록")
    wait_for(page, lambda: len(held) == 1)
    circle.tap()
    circle.tap()
    expect(circle).to_have_accessible_name(f"금요일, {READING}: 빨강")
    held[0].continue_()
    wait_for(page, lambda: len(held) == 2)
    sent = [json.loads(route.request.post_data)["marks"][0]["status"] for route in held]
    keys = {route.request.headers["idempotency-key"] for route in held}
    held[1].continue_()
    settled(page)
    assert sent == ["green", "red"]
    assert len(keys) == 2
    assert board().habits[1].times[4] == "red"


def test_an_answer_that_gets_lost_is_asked_for_again_with_the_same_key(site: Site, board: Callable[[], Board]) -> None:
    page, keys = site.visit(), []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(api(page), lose_the_first)
    cell(page, f"화요일, {READING}").tap()
    wait_for(page, lambda: len(keys) == 2)
    settled(page)
    assert keys[0] == keys[1]
    assert IdempotencyRecord.objects.filter(method="PATCH").count() == 1
    assert board().habits[1].times[1] == "green"


@either_installation
def test_what_fails_is_shown_as_failed_and_can_be_tried_again(site: Site, board: Callable[[], Board]) -> None:
    page = site.visit()
    page.clock.install()
    page.route(api(page), lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}))
    circle = cell(page, f"화요일, {READING}")
    circle.tap()
    until(page, lambda: page.locator(".cell.failed").count() == 1)
    expect(circle).to_have_accessible_name(f"화요일, {READING}: 초록, 저장 안 됨")
    expect(page.get_by_role("alert")).to_contain_text("저장하지 못한 표시가 있습니다")
    assert board().habits[1].times[1] == "none"

    page.unroute(api(page))
    page.get_by_role("button", name="다시 시도").click()
    settled(page)
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(circle).to_have_accessible_name(f"화요일, {READING}: 초록")
    assert board().habits[1].times[1] == "green"


def test_a_tap_that_is_refused_is_not_repeated_and_says_so(site: Site) -> None:
    page, sent = site.visit(), []
    page.route(api(page), lambda route: (sent.append(1), route.fulfill(status=403)))
    cell(page, f"화요일, {READING}").tap()
    expect(page.get_by_role("alert")).to_contain_text("로그인이 풀렸습니다")
    assert len(sent) == 1


@either_installation
def test_without_a_connection_taps_wait_and_leave_with_the_first_one(site: Site, board: Callable[[], Board]) -> None:
    page, sent = site.visit(), []
    page.on("request", lambda request: sent.append(1) if request.method == "PATCH" else None)
    page.context.set_offline(True)
    for day in ("월요일", "화요일"):
        cell(page, f"{day}, {TIDYING}").tap()
    cell(page, f"화요일, {TIDYING}").tap()
    expect(page.get_by_role("alert")).to_contain_text("인터넷에 연결되어 있지 않습니다")
    assert (sent, board().habits[2].times[:2]) == ([], ("none", "none"))

    page.context.set_offline(False)
    settled(page)
    expect(page.get_by_role("alert")).to_be_hidden()
    assert board().habits[2].times[:2] == ("green", "yellow")
    assert len(sent) == 2


def test_leaving_with_unsent_taps_asks_first(site: Site) -> None:
    page, asked = site.visit(), []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)
    page = site.visit()
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.route(api(page), lambda route: None)
    cell(page, f"화요일, {READING}").tap()
    page.close(run_before_unload=True)
    wait_for(page, lambda: asked == ["beforeunload"])


def test_a_form_of_the_page_does_not_overtake_the_taps_before_it(site: Site, board: Callable[[], Board]) -> None:
    page, held, order = site.visit(), [], []
    page.route(api(page), lambda route: held.append(route))
    page.on("requestfinished", lambda request: order.append("answered") if request.method == "PATCH" else None)
    page.on("request", lambda request: order.append(request.method) if request.method != "GET" else None)
    cell(page, f"화요일, {READING}").tap()
    wait_for(page, lambda: len(held) == 1)
    page.locator("#add").get_by_label("이름").fill("줄넘기")
    page.locator("#add").get_by_role("button", name="더하기").click(no_wait_after=True)
    held[0].continue_()
    expect(page.get_by_role("heading", name="줄넘기")).to_be_visible()
    assert order[:3] == ["PATCH", "answered", "POST"]
    assert board().habits[1].times[1] == "green"
    assert len(board().habits) == 4


def test_two_parents_see_each_others_marks_and_neither_loses_one(site: Site, board: Callable[[], Board]) -> None:
    mother, father = site.visit(), site.visit()
    cell(mother, f"화요일, {READING}").tap()
    settled(mother)
    cell(father, f"수요일, {READING}").tap()
    expect(cell(father, f"화요일, {READING}")).to_have_accessible_name(f"화요일, {READING}: 초록")
    settled(father)
    assert board().habits[1].times[1:3] == ("green", "green")


def test_a_board_whose_habits_changed_elsewhere_takes_no_further_taps(site: Site, board: Callable[[], Board]) -> None:
    page = site.visit()
    family.change(OWNER, CHILD, MONDAY, lambda board: rename_habit(board, 2, "줄넘기"))
    cell(page, f"화요일, {READING}").tap()
    expect(page.get_by_role("alert")).to_contain_text("그사이 다른 곳에서 이 주가 바뀌었습니다")
    cell(page, f"수요일, {READING}").tap()
    expect(cell(page, f"수요일, {READING}")).to_have_accessible_name(f"수요일, {READING}: 빈칸")
    assert board().habits[1].times[2] == "none"
    page.get_by_role("button", name="새로 고침").click()
    expect(page.get_by_role("heading", name="줄넘기")).to_be_visible()


def test_while_the_follower_is_locked_taps_succeed_and_are_carried_over_later(site: Site) -> None:
    page = site.visit()
    with second_connection() as other:
        other.execute("LOCK TABLE weeks IN ACCESS EXCLUSIVE MODE")
        cell(page, f"화요일, {READING}").tap()
        settled(page)
        expect(page.get_by_role("alert")).to_be_hidden()
        assert legacy_marks(site)[1][1] == "green"
        assert list(DirtyKey.objects.values_list("side", flat=True)) == ["legacy"]
        other.rollback()
    assert modern_marks()[1][1] == "none"
    applier.drain(migration)
    assert in_both(site, 1, 1) == ("green", "green")
    assert not DirtyKey.objects.exists()


@either_installation
def test_a_template_is_applied_after_the_question_and_marks_that_stay_are_kept(
    site: Site, board: Callable[[], Board]
) -> None:
    templates.create(owner=OWNER, name="방학", habits=[BRUSHING, "수영하기"])
    page = site.visit()
    page.get_by_text("다른 주나 템플릿으로 시작하기").click()
    page.get_by_role("button", name="사용하기").click()
    expect(page.get_by_role("heading", name="지금 있는 습관은 어떻게 할까요?")).to_be_visible()
    assert [habit.name for habit in board().habits] == list(HABITS)
    page.get_by_role("button", name="바꾸기", exact=True).click()
    expect(page.get_by_role("heading", name="수영하기")).to_be_visible()
    assert [habit.name for habit in board().habits] == [BRUSHING, "수영하기"]
    assert board().habits[0].times[0] == "green"


@either_installation
def test_everything_works_without_javascript(site: Site, board: Callable[[], Board]) -> None:
    page = site.visit(java_script_enabled=False)
    cell(page, f"화요일, {READING}").tap()
    expect(cell(page, f"화요일, {READING}")).to_have_accessible_name(f"화요일, {READING}: 초록")
    assert in_both(site, 1, 1) == ("green", "green")

    page.get_by_label("요일", exact=True).select_option("일요일")
    page.get_by_role("button", name="노랑").click()
    assert [line[6] for line in modern_marks()] == ["yellow"] * 3

    page.locator("#add").get_by_label("이름").fill("줄넘기")
    page.locator("#add").get_by_role("button", name="더하기").click()
    page.locator("#habit-3 summary").click()
    page.locator("#habit-3").get_by_role("button", name="위로").click()
    expect(page.get_by_role("heading", name="줄넘기")).to_be_visible()
    page.get_by_label("보상").fill("영화 보기")
    page.get_by_role("button", name="저장").click()
    expect(page.get_by_role("status").filter(has_text="저장했습니다")).to_be_visible()
    assert [habit.name for habit in board().habits] == [BRUSHING, READING, "줄넘기", TIDYING]
    assert (board().reward, board().theme) == ("영화 보기", "바다 탐험")


def wait_for(page: Page, condition: Callable[[], bool]) -> None:
    """Until what the browser does has come about; its events are only heard while it is asked something."""

    def came() -> bool:
        if not page.is_closed():
            page.evaluate("0")
        return condition()

    eventually(came)


def until(page: Page, condition: Callable[[], bool]) -> None:
    """The same, on a page whose clock is ours: time passes there as long as the condition does not hold."""

    def came() -> bool:
        page.clock.run_for(1_000)
        return condition()

    eventually(came)
