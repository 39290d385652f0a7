"""An all-green week is an achievement: told once, with the write, and never at its cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from habits import achievements, family, notifications
from habits.family import Cell, Contents, Line
from habits.migration import boards as migration
from habits.models import Notification as Row
from habits.models import NotificationType
from habits.notifications import Notification
from migration_ops.schema import unique_keys
from tests.engine.syncing import run
from tests.engine.waiting import InThread, until_somebody_waits
from tests.habits.legacy_database import query, second_connection
from tests.habits.legacy_files import OTHER, OWNER

DAY = date(2025, 7, 23)
GREEN = ("green",) * 7
BUT_ONE = (*GREEN[:6], "yellow")


def put(*lines: Line, owner: UUID = OWNER, child: str = "지우", day: date = DAY) -> family.Written:
    return family.put(owner, child, day, Contents(habits=lines))


def told(owner: UUID = OWNER) -> list[Notification]:
    return list(notifications.listed(owner=owner).notifications)


def about(owner: UUID = OWNER) -> list[tuple[str, str]]:
    return [(message.details["child"], message.details["week"]) for message in told(owner)]


@pytest.mark.usefixtures("stage")
def test_a_week_that_becomes_all_green_is_told_once_whatever_becomes_of_it() -> None:
    put(Line("물", GREEN), Line("책", BUT_ONE))
    assert told() == []
    family.set_marks(OWNER, "지우", DAY, [Cell(1, 6, "green")])
    (message,) = told()
    assert message.kind == NotificationType.ACHIEVEMENT
    assert message.details == {"child": "지우", "week": "2025-07-21", "habits": 2, "score": 14}
    assert "지우" in message.title
    assert "2025년 7월 21일" in message.message
    assert message.link == "/children/%EC%A7%80%EC%9A%B0/weeks/2025-07-21/"
    assert not message.is_read
    family.set_marks(OWNER, "지우", DAY, [Cell(1, 6, "red")])
    family.set_marks(OWNER, "지우", DAY, [Cell(1, 6, "green")])
    family.delete(OWNER, "지우", DAY)
    put(Line("양치", GREEN))
    assert [again.id for again in told()] == [message.id]


@pytest.mark.usefixtures("in_both")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_each_child_and_each_week_of_each_family_has_its_own() -> None:
    put(Line("물", GREEN))
    put(Line("물", GREEN), child="하늘")
    put(Line("물", GREEN), day=date(2025, 7, 28))
    put(Line("물", GREEN), owner=OTHER)
    assert sorted(about()) == [("지우", "2025-07-21"), ("지우", "2025-07-28"), ("하늘", "2025-07-21")]
    assert about(OTHER) == [("지우", "2025-07-21")]


@pytest.mark.usefixtures("in_both")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_a_week_without_habits_or_with_one_cell_that_is_not_green_is_none() -> None:
    put()
    put(Line("물", GREEN), Line("책", BUT_ONE))
    put(Line("물", GREEN), Line("책"))
    assert told() == []


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_it_is_gone_with_the_write(stage: str) -> None:
    def give_up() -> None:
        with transaction.atomic():
            put(Line("물", GREEN))
            assert len(told()) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up()
    assert told() == []
    assert family.children(OWNER).children == ()


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_the_write_is_not_committed_before_it_is_told(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(board: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(achievements, "award", stop)
    with pytest.raises(KeyboardInterrupt):
        put(Line("물", GREEN))
    assert family.children(OWNER).children == ()


@pytest.mark.usefixtures("in_both")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_two_parents_who_complete_a_week_at_the_same_time_are_told_once() -> None:
    put(Line("물", BUT_ONE))
    with transaction.atomic():
        family.set_marks(OWNER, "지우", DAY, [Cell(0, 6, "green")])
        other = InThread(lambda: put(Line("물", GREEN), Line("책", GREEN)))
        until_somebody_waits()
    other.outcome()
    assert about() == [("지우", "2025-07-21")]


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_telling_twice_at_the_same_time_tells_once(installation: object) -> None:
    """Without the key of the board, as whoever tells from elsewhere."""

    def tell() -> bool:
        return notifications.tell_once(
            owner=OWNER,
            kind=NotificationType.ACHIEVEMENT,
            title="!",
            message="",
            link="",
            details={"child": "지우", "week": "2025-07-21"},
        )

    with transaction.atomic():
        assert tell()
        other = InThread(tell)
        until_somebody_waits()
    assert other.outcome() is False
    assert len(told()) == 1


def break_check() -> Callable[[], Any]:
    run("ALTER TABLE notifications ADD CONSTRAINT nothing_is_told CHECK (false) NOT VALID")
    return lambda: run("ALTER TABLE notifications DROP CONSTRAINT nothing_is_told")


def break_key() -> Callable[[], Any]:
    (definition,) = query("SELECT pg_get_indexdef('notifications_achievement_key'::regclass)")[0]
    run("DROP INDEX notifications_achievement_key")
    return lambda: run(definition)


def break_deferred_key() -> Callable[[], Any]:
    run(
        "ALTER TABLE notifications ADD CONSTRAINT told_to_nobody FOREIGN KEY (id) REFERENCES children"
        " DEFERRABLE INITIALLY DEFERRED"
    )
    return lambda: run("ALTER TABLE notifications DROP CONSTRAINT told_to_nobody")


def break_table() -> Callable[[], Any]:
    run("ALTER TABLE notifications RENAME TO notifications_away")
    return lambda: run("ALTER TABLE notifications_away RENAME TO notifications")


@pytest.mark.parametrize("installation", ["table"], indirect=True)
@pytest.mark.parametrize("broken", [break_check, break_key, break_deferred_key, break_table])
def test_what_fails_while_telling_does_not_fail_the_write(
    stage: str, broken: Callable[[], Callable[[], Any]], caplog: pytest.LogCaptureFixture
) -> None:
    mend = broken()
    try:
        written = put(Line("물", GREEN))
        assert family.board(OWNER, "지우", DAY).board == written.board
    finally:
        mend()
    assert told() == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "지우" not in caplog.text
    assert unique_keys.missing(migration) == []
    put(Line("물", GREEN), Line("책", GREEN))
    assert about() == [("지우", "2025-07-21")]


@pytest.mark.usefixtures("in_both")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_a_table_that_others_hold_keeps_nobody_waiting(settings: Any) -> None:
    settings.MIGRATION_OPS = {"WRITE_PATIENCE": timedelta(minutes=1)}
    put(Line("물", BUT_ONE))
    with second_connection() as other, other.transaction():
        other.execute("LOCK TABLE notifications IN EXCLUSIVE MODE")
        began = monotonic()
        family.set_marks(OWNER, "지우", DAY, [Cell(0, 6, "green")])
        assert monotonic() - began < 10  # a write waits for a minute, an aside does not
    assert family.board(OWNER, "지우", DAY).board.is_all_green
    assert told() == []


@pytest.mark.usefixtures("in_both")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_telling_leaves_the_limits_of_the_write_as_they_were() -> None:
    limits = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    with transaction.atomic(), connection.cursor() as cursor:
        put(Line("물", BUT_ONE))
        cursor.execute(limits)
        before = cursor.fetchone()
        put(Line("물", GREEN))
        cursor.execute(limits)
        assert cursor.fetchone() == before
    assert Row.objects.count() == 1
