"""Begin a week with the one before it or with a template; nothing that is there is replaced without a question."""

from __future__ import annotations

import re
from datetime import date, timedelta
from urllib.parse import quote
from uuid import UUID

import pytest
from django.http import HttpResponse
from django.test import Client

from habits import family, templates
from habits.board import Board
from habits.family import Cell, Contents, Line
from habits.models import HabitTemplate, User
from tests.habits.legacy_strategies import OTHER_OWNER, OWNER

MONDAY = date(2025, 7, 21)
NEXT = MONDAY + timedelta(days=7)
CHILD = f"/children/{quote('달이')}/"
WEEK, FOLLOWING = f"{CHILD}weeks/{MONDAY}/", f"{CHILD}weeks/{NEXT}/"


@pytest.fixture(autouse=True)
def one_board(families: dict[str, User]) -> None:
    family.put(OWNER, "달이", MONDAY, Contents("바다", habits=[Line("양치"), Line("책", ["green"] * 7)]))


def names(day: date = MONDAY) -> list[str]:
    return [habit.name for habit in board(day).habits]


def board(day: date = MONDAY) -> Board:
    return family.board(OWNER, "달이", day).board


def field(page: HttpResponse, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.content.decode())
    assert found, page.content.decode()
    return found[1]


def begin(client: Client, path: str, source: str | UUID, **more: str) -> HttpResponse:
    sent = {"token": field(client.get(path), "token"), "source": str(source), **more}
    return client.post(f"{path}begin/", sent, follow=True)


def test_a_new_week_takes_the_habits_of_the_one_before_and_none_of_its_marks(client: Client) -> None:
    assert "2025년 7월 21일 주의 습관 가져오기" in client.get(FOLLOWING).content.decode()
    begin(client, FOLLOWING, "last")
    assert [(habit.name, set(habit.times)) for habit in board(NEXT).habits] == [("양치", {"none"}), ("책", {"none"})]
    assert board(NEXT).theme == ""


def test_weeks_without_habits_are_passed_over(client: Client) -> None:
    family.put(OWNER, "달이", NEXT, Contents())
    begin(client, f"{CHILD}weeks/{NEXT + timedelta(days=7)}/", "last")
    assert names(NEXT + timedelta(days=7)) == ["양치", "책"]


def test_a_new_week_takes_the_template_and_the_default_is_offered_first(client: Client) -> None:
    templates.create(owner=OWNER, name="가", habits=["수영"])
    default = templates.create(owner=OWNER, name="나", habits=["줄넘기"], is_default=True)
    offered = re.findall(r'<option value="([^"]+)">', client.get(FOLLOWING).content.decode())
    assert offered[0] == str(default.id)
    begin(client, FOLLOWING, default.id)
    assert names(NEXT) == ["줄넘기"]


def test_where_there_are_habits_the_question_names_what_would_come_and_go(client: Client) -> None:
    template = templates.create(owner=OWNER, name="방학", habits=["책", "수영"])
    asked = begin(client, WEEK, template.id)
    assert names() == ["양치", "책"]
    listed = re.findall(r"<li>([^<]+)</li>", asked.content.decode())
    assert listed == ["수영", "양치"]


@pytest.mark.parametrize(("mode", "expected"), [("append", ["양치", "책", "수영"]), ("replace", ["책", "수영"])])
def test_the_answer_is_carried_out_and_marks_that_stay_are_kept(client: Client, mode: str, expected: list[str]) -> None:
    template = templates.create(owner=OWNER, name="방학", habits=["책", "수영"])
    asked = begin(client, WEEK, template.id)
    client.post(
        f"{WEEK}begin/",
        {"token": field(asked, "token"), "seen": field(asked, "seen"), "source": str(template.id), "mode": mode},
    )
    assert names() == expected
    assert board().habits[expected.index("책")].times == ("green",) * 7


def test_an_answer_about_a_board_that_changed_meanwhile_is_refused(client: Client) -> None:
    template = templates.create(owner=OWNER, name="방학", habits=["수영"])
    asked = begin(client, WEEK, template.id)
    family.set_marks(OWNER, "달이", MONDAY, [Cell(0, 0, "red")])
    sent = {"token": field(asked, "token"), "seen": field(asked, "seen"), "source": str(template.id)}
    page = client.post(f"{WEEK}begin/", {**sent, "mode": "replace"}, follow=True)
    assert "그사이 다른 사람이 이 보드를 바꿨습니다" in page.content.decode()
    assert names() == ["양치", "책"]


def test_the_templates_of_others_do_not_exist(client: Client) -> None:
    foreign = templates.create(owner=OTHER_OWNER, name="남의 것", habits=["비밀"])
    page = begin(client, FOLLOWING, foreign.id)
    assert "시작할 내용을 더는 찾을 수 없습니다" in page.content.decode()
    for path in (
        f"/templates/{foreign.id}/",
        f"/templates/{foreign.id}/delete/",
        f"{WEEK}begin/ask/?source={foreign.id}",
    ):
        assert client.get(path).status_code == 404
    for path in (f"/templates/{foreign.id}/", f"/templates/{foreign.id}/delete/"):
        assert client.post(path, {"name": "meins", "habits": "x"}).status_code == 404
    assert "남의 것" not in client.get("/templates/").content.decode()
    assert HabitTemplate.objects.get().name == "남의 것"


def test_a_template_is_written_edited_and_deleted(client: Client) -> None:
    token = field(client.get("/templates/new/"), "token")
    written = {"token": token, "name": "방학", "habits": "수영\r\n\r\n 줄넘기 ", "child": "달이", "is_default": "on"}
    client.post("/templates/new/", written)
    client.post("/templates/new/", written)
    (made,) = templates.listed(owner=OWNER)
    assert (made.name, made.habits, made.child, made.is_default) == ("방학", ("수영", "줄넘기"), "달이", True)

    page = f"/templates/{made.id}/"
    form = {"token": field(client.get(page), "token"), "habits": "수영\r\n줄넘기", "was_habits": "수영\r\n줄넘기"}
    client.post(page, {**form, "name": "여름 방학", "child": ""})
    (edited,) = templates.listed(owner=OWNER)
    assert (edited.name, edited.habits, edited.child, edited.is_default) == (
        "여름 방학",
        ("수영", "줄넘기"),
        None,
        False,
    )

    asked = client.get(f"{page}delete/")
    assert templates.listed(owner=OWNER) == (edited,)
    client.post(f"{page}delete/", {"token": field(asked, "token")})
    assert templates.listed(owner=OWNER) == ()


def test_a_name_with_a_line_end_stays_one_habit_while_something_else_is_edited(client: Client) -> None:
    made = templates.create(owner=OWNER, name="방학", habits=["수영\n(30분)", "책"])
    lines = "수영\r\n(30분)\r\n책"
    form = {"token": "1", "name": "여름", "habits": lines, "was_habits": lines}
    client.post(f"/templates/{made.id}/", form)
    assert templates.get(owner=OWNER, template=made.id).habits == ("수영\n(30분)", "책")


def test_the_habits_of_a_week_become_a_template(client: Client) -> None:
    token = field(client.get(WEEK), "token")
    client.post(f"{WEEK}template/", {"token": token, "name": "우리 주", "shared": "on"})
    (made,) = templates.listed(owner=OWNER)
    assert (made.name, made.habits, made.child) == ("우리 주", ("양치", "책"), None)


def test_a_template_without_habits_is_refused_with_the_reason(client: Client) -> None:
    page = client.post("/templates/new/", {"token": "1", "name": "빈 것", "habits": " \n"}, follow=True)
    assert templates.listed(owner=OWNER) == ()
    assert "습관" in page.content.decode()
    assert 'class="message message-error"' in page.content.decode()
