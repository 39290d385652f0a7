"""The weekly board by plain forms: what a family does is in the store, once, and on the board as it is now."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pytest
from django.http import HttpResponse
from django.test import Client

from habits import family
from habits.board import Board, monday_of, rename_habit
from habits.models import IdempotencyRecord, User
from habits.web.visitor import today
from tests.habits.legacy_database import insert, query, row
from tests.habits.legacy_strategies import OWNER

MONDAY = date(2025, 7, 21)
WEEK = f"/children/{quote('달이')}/weeks/2025-07-21/"


@pytest.fixture(autouse=True)
def one_board(families: dict[str, User]) -> None:
    blank = [""] * 7
    insert(
        row(
            5,
            theme="바다",
            habits=[
                {"id": 1, "name": "양치하기", "times": ["green", *blank[1:]]},
                {"id": 2, "name": "책 읽기", "times": blank},
            ],
        )
    )


def board() -> Board:
    return family.board(OWNER, "달이", MONDAY).board


def marks() -> list[list[str | None]]:
    return [list(habit.times) for habit in board().habits]


def field(page: HttpResponse, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.content.decode())
    assert found, page.content.decode()
    return found[1]


def fields(client: Client, path: str = WEEK) -> dict[str, Any]:
    """What every form of the page sends along."""
    page = client.get(path)
    return {"token": field(page, "token"), "shape": field(page, "shape")}


def test_the_board_is_shown_with_a_name_for_every_circle(client: Client) -> None:
    page = client.get(WEEK).content.decode()
    assert page.count('name="cell"') == 14
    assert 'aria-label="월요일, 양치하기: 초록"' in page
    assert 'aria-label="일요일, 책 읽기: 빈칸"' in page
    assert "14칸 중 초록 1칸" in page
    assert "바다" in page


def test_the_page_says_which_store_it_comes_from_and_is_kept_by_no_cache(client: Client) -> None:
    page = client.get(WEEK)
    assert (page["X-Served-From"], page["X-Served-Reason"]) == ("legacy", "stage")
    assert "no-store" in page["Cache-Control"]


def test_no_page_runs_or_shows_what_is_not_ours(client: Client) -> None:
    policy = client.get(WEEK)["Content-Security-Policy"]
    assert "script-src 'self';" in f"{policy};"
    assert "style-src 'self';" in f"{policy};"
    for path in (WEEK, "/", "/accounts/password/"):
        page = client.get(path).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page), path


def test_a_tap_goes_through_the_colours_and_back_to_blank(client: Client) -> None:
    seen = []
    for _ in range(4):
        page = client.get(WEEK)
        value = re.findall(r'name="cell" value="(1-6-\w+)"', page.content.decode())
        done = client.post(f"{WEEK}marks/", {**fields(client), "cell": value[0]})
        assert (done.status_code, done["Location"]) == (303, f"{WEEK}#habit-1")
        seen.append(marks()[1][6])
    assert seen == ["green", "yellow", "red", "none"]
    assert marks()[0] == ["green", *["none"] * 6]


def test_the_same_form_sent_twice_has_one_effect_and_the_same_answer(client: Client) -> None:
    form = {**fields(client), "habit": "물 마시기"}
    first, second = (client.post(f"{WEEK}habits/", form) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert [habit.name for habit in board().habits] == ["양치하기", "책 읽기", "물 마시기"]
    assert IdempotencyRecord.objects.count() == 1


def test_going_back_and_sending_something_else_counts(client: Client) -> None:
    form = fields(client)
    for name in ("물 마시기", "줄넘기"):
        client.post(f"{WEEK}habits/", {**form, "habit": name})
    assert [habit.name for habit in board().habits][2:] == ["물 마시기", "줄넘기"]


def test_a_circle_of_a_habit_that_is_another_one_by_now_is_refused(client: Client) -> None:
    form = {**fields(client), "cell": "0-1-green"}
    family.change(OWNER, "달이", MONDAY, lambda board: rename_habit(board, 0, "양치 두 번"))
    before = board()
    page = client.post(f"{WEEK}marks/", form, follow=True).content.decode()
    assert "그사이 다른 사람이 습관을 바꿨습니다" in page
    assert board() == before


@pytest.mark.parametrize("cell", ["", "0-9-green", "9-0-green", "0-0-blue", "0-0", "x-y-z"])
def test_nonsense_changes_nothing_and_is_no_error_of_ours(client: Client, cell: str) -> None:
    before = board()
    assert client.post(f"{WEEK}marks/", {**fields(client), "cell": cell}).status_code in (303, 404)
    assert board() == before


def test_a_whole_day_is_filled_and_the_others_stay(client: Client) -> None:
    client.post(f"{WEEK}fill/", {**fields(client), "day": "2", "status": "yellow"})
    assert [line[2] for line in marks()] == ["yellow", "yellow"]
    assert marks()[0][0] == "green"


def test_a_habit_is_renamed_moved_and_removed_with_its_marks(client: Client) -> None:
    client.post(f"{WEEK}habits/0/rename/", {**fields(client), "habit": " 이 닦기 "})
    client.post(f"{WEEK}habits/0/move/", {**fields(client), "to": "1"})
    assert [(habit.name, habit.times[0]) for habit in board().habits] == [("책 읽기", "none"), ("이 닦기", "green")]
    asked = client.get(f"{WEEK}habits/1/remove/")
    assert "이 닦기" in asked.content.decode()
    assert len(board().habits) == 2
    client.post(f"{WEEK}habits/1/remove/", {"token": field(asked, "token"), "shape": field(asked, "shape")})
    assert [habit.name for habit in board().habits] == ["책 읽기"]


def test_two_parents_who_write_different_words_keep_both(client: Client) -> None:
    mother, father = fields(client), fields(client)
    shown = {"was_theme": "바다", "was_reward": "", "theme": "바다", "reward": ""}
    client.post(f"{WEEK}words/", {**mother, **shown, "theme": "산\r\n그리고 숲"})
    client.post(f"{WEEK}words/", {**father, **shown, "reward": "영화"})
    assert (board().theme, board().reward) == ("산\n그리고 숲", "영화")


def test_a_week_is_deleted_only_as_it_was_shown(client: Client) -> None:
    asked = client.get(f"{WEEK}delete/")
    form = {"token": field(asked, "token"), "seen": field(asked, "seen")}
    family.set_marks(OWNER, "달이", MONDAY, [family.Cell(0, 5, "red")])
    client.post(f"{WEEK}delete/", form)
    assert marks()[0][5] == "red"
    asked = client.get(f"{WEEK}delete/")
    client.post(f"{WEEK}delete/", {"token": field(asked, "token"), "seen": field(asked, "seen")})
    assert query("SELECT 1 FROM habit_tracker") == []


def test_a_week_that_is_not_there_yet_is_offered_and_made(client: Client) -> None:
    following = f"/children/{quote('달이')}/weeks/2025-07-28/"
    page = client.get(following)
    assert page.status_code == 200
    assert f'<a href="{WEEK}">최근 보드: 2025년 7월 21일</a>' in page.content.decode()
    client.post(f"{following}begin/", {"token": field(page, "token"), "source": "nothing"})
    assert family.board(OWNER, "달이", date(2025, 7, 28)).board.habits == ()


def test_any_day_and_any_spelling_leads_to_the_monday_of_the_week(client: Client) -> None:
    assert client.get(f"/children/{quote(' 달이 ')}/weeks/2025-07-24/")["Location"] == WEEK


def test_the_child_leads_to_the_week_it_is_where_the_family_lives(client: Client) -> None:
    found = client.get(f"/children/{quote('달이')}/")
    assert found["Location"] == f"/children/{quote('달이')}/weeks/{monday_of(today())}/"


def test_today_is_the_familys_own_day(client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sunday evening in London is Monday morning in Seoul."""
    sunday = datetime(2025, 7, 27, 20, 0, tzinfo=UTC)
    monkeypatch.setattr("django.utils.timezone.now", lambda: sunday)
    assert today() == date(2025, 7, 28)


def test_a_child_is_added_with_its_first_week_once(client: Client) -> None:
    form = {"token": field(client.get("/"), "token"), "name": " 별/이? "}
    first = client.post("/", form)
    assert client.get(first["Location"]).status_code == 200
    client.post("/", form)
    found = [child for child in family.children(OWNER).children if child.name == "별/이?"]
    assert [(child.weeks, child.first_week) for child in found] == [(1, monday_of(today()))]


@pytest.mark.parametrize("name", ["", " ", "x" * 101])
def test_a_child_without_a_usable_name_is_refused_with_a_sentence(client: Client, name: str) -> None:
    form = {"token": field(client.get("/"), "token"), "name": name}
    assert "아이 이름은 1자에서 100자까지" in client.post("/", form, follow=True).content.decode()


def test_the_children_of_others_do_not_exist(families: dict[str, User]) -> None:
    client = Client(headers={"accept-language": "ko"})
    client.force_login(families["other"])
    before = query("SELECT habits::text FROM habit_tracker")
    posts = [
        "marks/",
        "fill/",
        "words/",
        "habits/",
        "habits/0/rename/",
        "habits/0/move/",
        "habits/0/remove/",
        "delete/",
    ]
    assert "달이" not in client.get("/").content.decode()
    for path in (f"/children/{quote('달이')}/", WEEK, f"{WEEK}delete/", f"{WEEK}habits/0/remove/"):
        page = client.get(path)
        assert page.status_code == 404, path
        assert "다른 가족의 것입니다" in page.content.decode()
    for path in posts:
        sent = {"cell": "0-0-red", "day": "0", "to": "1", "status": "red", "habit": "x", "theme": "x", "was_theme": ""}
        client.post(f"{WEEK}{path}", sent)
    assert client.post(f"{WEEK}begin/").status_code == 404
    assert query("SELECT habits::text FROM habit_tracker") == before


@pytest.mark.parametrize(
    "action", ["marks/", "fill/", "words/", "habits/", "habits/0/rename/", "habits/0/move/", "begin/", "template/"]
)
def test_looking_at_an_address_changes_nothing(client: Client, action: str) -> None:
    assert client.get(f"{WEEK}{action}").status_code == 405


def test_a_form_from_elsewhere_is_refused_on_a_page_in_the_familys_language(families: dict[str, User]) -> None:
    client = Client(enforce_csrf_checks=True, headers={"accept-language": "ko"})
    client.force_login(families["family"])
    page = client.post(f"{WEEK}habits/", {"habit": "x"})
    assert page.status_code == 403
    assert "양식이 너무 오래되었습니다" in page.content.decode()


def test_markup_in_names_is_shown_as_text(client: Client) -> None:
    client.post(f"{WEEK}habits/", {**fields(client), "habit": "<img src=x onerror=alert(1)>"})
    page = client.get(WEEK).content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_too_long_a_text_is_refused_with_a_sentence(client: Client) -> None:
    page = client.post(f"{WEEK}words/", {**fields(client), "reward": "x" * 10_001, "was_reward": ""}, follow=True)
    assert "10,000자까지" in page.content.decode()
    assert board().reward == ""
