"""Weekly reports: each family with marks once, from the store that has the word, whatever stops in between."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone, translation
from hypothesis import given

from habits import family, jobs, notifications, weekly_reports
from habits.board import Board, habit
from habits.family import Contents, Line
from habits.models import Notification, User
from habits.weekly_reports import Best, Outcome, Summary, summary, week_to_report
from migration_ops.exceptions import UnusableInput
from tests.acceptance.commands import run_apart
from tests.engine.syncing import command, run
from tests.engine.waiting import InThread
from tests.families.conftest import Installation
from tests.habits import strategies
from tests.habits.legacy_database import row
from tests.habits.legacy_files import OTHER, OWNER

MONDAY = date(2025, 7, 21)
GREEN = ("green",) * 7
MIXED = ("green", "yellow", "red", "none", "green", "none", "none")

tables = pytest.mark.parametrize("installation", ["table"], indirect=True)


def put(*lines: Line, owner: UUID = OWNER, child: str = "지우", day: date = MONDAY) -> None:
    family.put(owner, child, day, Contents(habits=lines))


def reported(owner: UUID = OWNER) -> list[notifications.Notification]:
    listed = notifications.listed(owner=owner).notifications
    return [said for said in listed if said.kind == "weekly_report"]


def make(week: date = MONDAY, **given: Any) -> Counter[Outcome]:
    return Counter(weekly_reports.make(week=week, **given))


@pytest.mark.usefixtures("stage")
def test_a_family_is_told_of_each_child_with_marks_and_of_all_together() -> None:
    put(Line("물", MIXED), Line("책", GREEN))
    put(Line("양치", MIXED), child="하늘")
    put(Line("양치"), child="별")
    put(Line("물", GREEN), day=date(2025, 7, 14))
    put(Line("물"), owner=OTHER)
    assert make() == {Outcome.MADE: 1, Outcome.WITHOUT_MARKS: User.objects.count() - 1}
    (report,) = reported()
    assert report.details == {
        "week": "2025-07-21",
        "score": 11,
        "max_score": 21,
        "yellow": 2,
        "red": 2,
        "children": [
            {
                "child": "지우",
                "score": 9,
                "max_score": 14,
                "yellow": 1,
                "red": 1,
                "best_habit": {"name": "책", "green": 7},
            },
            {
                "child": "하늘",
                "score": 2,
                "max_score": 7,
                "yellow": 1,
                "red": 1,
                "best_habit": {"name": "양치", "green": 2},
            },
        ],
    }
    assert report.title == "2025년 7월 21일에 시작한 주: 21칸 중 초록 11칸"
    assert [line.partition(":")[0] for line in report.message.splitlines()] == ["지우", "하늘"]
    assert "책" in report.message
    assert report.link == "/"
    assert reported(OTHER) == []


@tables
def test_twice_tells_nobody_twice_even_if_the_week_has_changed_since(in_both: None) -> None:
    put(Line("물", MIXED))
    others = User.objects.count() - 1
    assert make() == {Outcome.MADE: 1, Outcome.WITHOUT_MARKS: others}
    before = reported()
    put(Line("물", GREEN))
    assert make() == {Outcome.EXISTING: 1, Outcome.WITHOUT_MARKS: others}
    assert reported() == before
    put(Line("물", MIXED), day=date(2025, 7, 14))
    assert make(date(2025, 7, 14))[Outcome.MADE] == 1


@tables
def test_two_at_once_tell_once(in_both: None) -> None:
    put(Line("물", MIXED))
    threads = [InThread(make) for _ in range(4)]
    made = sum((thread.outcome() for thread in threads), Counter())
    assert made[Outcome.MADE] == 1
    assert made[Outcome.EXISTING] == 3
    assert len(reported()) == 1


@tables
def test_a_dry_run_says_how_many_and_writes_nothing(in_both: None) -> None:
    put(Line("물", MIXED))
    assert make(dry_run=True)[Outcome.MADE] == 1
    assert not Notification.objects.exists()
    assert make()[Outcome.MADE] == 1
    assert make(dry_run=True)[Outcome.EXISTING] == 1


@tables
def test_a_board_that_waits_for_a_person_is_told_from_what_legacy_can_say(
    installation: Installation, stage: str
) -> None:
    installation.insert(
        row(1, habits=[{"id": 1, "name": "물", "times": ["green", *[""] * 6]}]),
        row(2, week_period="another", habits=[{"id": 1, "name": "책", "times": ["mauve", *[""] * 6]}]),
    )
    if stage != "off":
        call_command("sync_changes")
    assert make()[Outcome.MADE] == 1
    assert reported()[0].details["score"] == 1


@tables
def test_every_family_is_looked_at_once_however_many_are_read_at_a_time(
    in_both: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = [User.objects.create(email=f"{number}@example.org").pk for number in range(7)]
    for owner in owners[::2]:
        put(Line("물", MIXED), owner=owner)
    monkeypatch.setattr(weekly_reports, "FAMILIES_AT_A_TIME", 2)
    assert make() == {Outcome.MADE: 4, Outcome.WITHOUT_MARKS: User.objects.count() - 4}
    assert [len(reported(owner)) for owner in owners] == [1, 0, 1, 0, 1, 0, 1]


@pytest.fixture
def refused_for_one() -> Iterator[None]:
    run(f"ALTER TABLE notifications ADD CONSTRAINT not_to_them CHECK (user_id <> '{OWNER}')")
    yield
    run("ALTER TABLE notifications DROP CONSTRAINT IF EXISTS not_to_them")


@tables
def test_a_family_that_cannot_be_told_keeps_no_other_from_it(
    in_both: None, refused_for_one: None, caplog: pytest.LogCaptureFixture
) -> None:
    put(Line("물", MIXED))
    put(Line("물", MIXED), owner=OTHER)
    exit_code, said = command("weekly_reports", "--week", "2025-07-23")
    assert exit_code == 1
    assert (said["made"], said["failed"], said["existing"]) == (1, 1, 0)
    assert str(OWNER) in caplog.text
    assert "지우" not in caplog.text
    run("ALTER TABLE notifications DROP CONSTRAINT not_to_them")
    exit_code, said = command("weekly_reports", "--week", "2025-07-23")
    assert exit_code == 0
    assert (said["made"], said["failed"], said["existing"]) == (1, 0, 1)


@tables
def test_killed_in_between_the_same_command_finishes(in_both: None) -> None:
    put(Line("물", MIXED))
    put(Line("물", MIXED), owner=OTHER)
    week = ("--week", "2025-07-21")
    assert run_apart("weekly_reports", *week, failpoint=weekly_reports.TOLD) == -signal.SIGKILL
    assert Notification.objects.count() == 1
    exit_code, said = command("weekly_reports", "--week", "2025-07-21")
    assert exit_code == 0
    assert (said["made"], said["existing"]) == (1, 1)
    assert len(reported()) == len(reported(OTHER)) == 1


@tables
def test_the_command_and_the_job_say_how_many(in_both: None) -> None:
    put(Line("물", MIXED))
    exit_code, said = command("weekly_reports", "--week", "2025-07-27", "--dry-run")
    users = User.objects.count()
    assert exit_code == 0
    assert said == {
        "week": "2025-07-21",
        "families": users,
        "made": 1,
        "existing": 0,
        "without_marks": users - 1,
        "failed": 0,
        "dry_run": True,
    }
    assert jobs.make_weekly_reports("2025-07-27") == {"made": 1, "without_marks": users - 1}
    assert jobs.make_weekly_reports("2025-07-27") == {"existing": 1, "without_marks": users - 1}


@tables
def test_without_a_day_it_is_the_last_week_that_is_over_where_the_families_live(in_both: None) -> None:
    """Monday half past midnight in Seoul is still Sunday in Greenwich."""
    put(Line("물", MIXED))
    with patch.object(timezone, "now", return_value=datetime.fromisoformat("2025-07-27T15:30:00+00:00")):
        assert jobs.make_weekly_reports()["made"] == 1


@pytest.mark.parametrize(
    ("day", "today", "week"),
    [
        (None, date(2025, 7, 28), MONDAY),
        (None, date(2025, 8, 3), MONDAY),
        (None, date(2025, 8, 4), date(2025, 7, 28)),
        (date(2025, 7, 27), date(2025, 7, 28), MONDAY),
        (MONDAY, date(2026, 1, 1), MONDAY),
    ],
)
def test_a_day_names_its_week_and_none_the_last_week_that_is_over(day: date | None, today: date, week: date) -> None:
    assert week_to_report(day, today=today) == week


@pytest.mark.parametrize("day", [MONDAY, date(2025, 7, 27), date(2025, 7, 28), date.max, date.min, date(1999, 12, 31)])
def test_a_week_that_is_not_over_or_is_none_is_refused(day: date) -> None:
    with pytest.raises(UnusableInput):
        week_to_report(day, today=date(2025, 7, 27))


@pytest.mark.parametrize("week", ["today", "2025-13-01"])
def test_what_is_no_day_is_bad_usage(week: str) -> None:
    with pytest.raises(CommandError, match="2025-07-21"):
        call_command("weekly_reports", f"--week={week}")


@given(strategies.boards(max_habits=6))
def test_a_summary_counts_every_cell_and_its_best_habit_is_beaten_by_none(board: Board) -> None:
    said = summary(board)
    cells = Counter(status for habit in board.habits for status in habit.times)
    assert (said.score, said.yellow, said.red) == (cells["green"], cells["yellow"], cells["red"])
    assert said.max_score == 7 * len(board.habits)
    greens = [habit.times.count("green") for habit in board.habits]
    if said.best is None:
        assert not any(greens)
    else:
        assert said.best.green == max(greens) > 0
        assert said.best.name == board.habits[greens.index(max(greens))].name


@tables
def test_names_are_told_as_they_are(in_both: None) -> None:
    put(Line("100% %(habit)s {물} <b>", MIXED), child="50% %(child)s")
    with translation.override("en"):
        make()
    (report,) = reported()
    assert "50% %(child)s" in report.message
    assert "100% %(habit)s {물} <b>" in report.message
    assert report.title.startswith("2025년"), "The site's language, not the operator's."
    assert report.link == "/children/50%25%20%25%28child%29s/weeks/2025-07-21/"


def test_the_best_habit_is_the_first_of_those_that_are_equal() -> None:
    key = strategies.BoardKey(OWNER, "지우", MONDAY)
    board = Board(key, habits=(habit("물", MIXED), habit("책", MIXED)))
    assert summary(board) == Summary("지우", 4, 14, 2, 2, Best("물", 2))
