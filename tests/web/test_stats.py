"""How it went: the counts of the services, drawn and as a table."""

from __future__ import annotations

import re
from datetime import date, timedelta
from urllib.parse import quote

import pytest
from django.test import Client

from habits import family
from habits.family import Contents, Line
from habits.models import User
from habits.web.charts import HEIGHT, Colours, bars, curve
from tests.habits.legacy_strategies import OWNER

MONDAY = date(2025, 7, 21)
STATS = f"/children/{quote('달이')}/stats/"


@pytest.fixture(autouse=True)
def two_weeks(families: dict[str, User]) -> None:
    marks = ["green", "green", "yellow", "red", "none", "none", "none"]
    family.put(OWNER, "달이", MONDAY, Contents(habits=[Line("책", marks)]))
    family.put(OWNER, "달이", MONDAY + timedelta(days=7), Contents(habits=[Line("책", ["green"] * 7)]))


def rows(page: str) -> list[list[str]]:
    body = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", page)
    return [re.split(r"</th><td>|</td><td>|</td>", row)[:5] for row in body]


def test_every_colour_is_counted_by_week_and_by_weekday(client: Client) -> None:
    found = rows(client.get(STATS).content.decode())
    assert found[:2] == [["7/21", "2", "1", "1", "3"], ["7/28", "7", "0", "0", "0"]]
    assert found[2] == ["월", "2", "0", "0", "0"]
    assert found[4] == ["수", "1", "1", "0", "0"]


def test_only_so_many_weeks_are_shown_as_were_asked_for(client: Client) -> None:
    page = client.get(f"{STATS}?weeks=1").content.decode()
    assert rows(page)[0] == ["7/28", "7", "0", "0", "0"]
    assert "초록 100%" in page


@pytest.mark.parametrize("weeks", ["0", "-1", "x", "1000000"])
def test_a_number_of_weeks_that_makes_no_sense_is_no_page(client: Client, weeks: str) -> None:
    assert client.get(f"{STATS}?weeks={weeks}").status_code == 404


def test_the_statistics_of_others_do_not_exist(families: dict[str, User]) -> None:
    client = Client()
    client.force_login(families["other"])
    assert client.get(STATS).status_code == 404


def test_the_pieces_of_a_column_are_as_high_as_the_share_of_their_colour() -> None:
    (low, high) = bars([Colours("a", 1, 0, 1, 0), Colours("b", 2, 1, 0, 1)]).columns
    assert [(piece.status, piece.y, piece.height) for piece in low.pieces] == [("green", 75, 25), ("red", 50, 25)]
    assert sum(piece.height for piece in high.pieces) == HEIGHT
    assert [piece.status for piece in high.pieces] == ["green", "yellow", "none"]


def test_weeks_without_habits_are_left_out_of_the_curve_and_of_the_average() -> None:
    drawn = curve([(7, 7), (0, 0), (0, 7)])
    assert drawn.line == "20,0 100,100"
    assert drawn.average == 50
    assert curve([(0, 0)]).average is None
    assert bars([]).columns == ()
