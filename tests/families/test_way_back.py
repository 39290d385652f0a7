"""What going back would lose is known before anybody goes back."""

from __future__ import annotations

from datetime import date

import pytest

from habits import family
from habits.board import BoardKey
from habits.family import Contents, Line
from habits.migration import boards
from habits.stores.legacy_changes import periods_of
from migration_ops import transitions
from migration_ops.definition import Side
from migration_ops.exceptions import Refused
from migration_ops.models import DirtyKey
from migration_ops.rollout import way_back
from migration_ops.stages import Stage
from migration_ops.sync import applier
from migration_ops.sync.dual_write import Outcome
from tests.engine.syncing import command, run
from tests.families.conftest import Installation
from tests.habits.legacy_files import OTHER as STRANGER
from tests.habits.legacy_files import OWNER

MONDAY = date(2025, 7, 21)


def take_every_period(installation: Installation) -> None:
    """Another family has filled all seven names that a week of this child could have in the legacy table."""
    for number, period in enumerate(periods_of(MONDAY), 1):
        run(
            "INSERT INTO habit_tracker (id, child_name, week_period, week_start_date, user_id)"
            " VALUES (%s, %s, %s, %s, %s)",
            number,
            "달이",
            period,
            "2024-01-01",
            STRANGER,
        )


def test_what_legacy_has_no_place_for_stays_on_the_list_and_modern_keeps_the_word(table: Installation) -> None:
    table.reach("ramp")
    family.put(OWNER, "달이", MONDAY, Contents(habits=[Line("양치하기")]))
    run("UPDATE habits SET time_period = '점심 (12-1시)'")
    assert (applier.drain(boards).failed, applier.drain(boards).applied) == (1, 0)
    assert "habits[0].time_period" in DirtyKey.objects.get().error
    answer = family.board(OWNER, "달이", MONDAY)
    assert (answer.served.side, answer.board.habits[0].time_period) == (Side.MODERN, "점심 (12-1시)")
    assert way_back.look(boards).waiting == 1
    run("UPDATE habits SET time_period = NULL")
    run("UPDATE migration_ops_dirtykey SET not_before = NULL")
    applier.drain(boards)
    assert way_back.look(boards).waiting == 0


def test_a_board_that_legacy_has_no_room_for_is_named(table: Installation) -> None:
    table.reach("live")
    take_every_period(table)
    applier.drain(boards)
    written = family.put(OWNER, "달이", MONDAY, Contents(theme="바다"))
    assert written.outcome is Outcome.FAILED
    assert family.board(OWNER, "달이", MONDAY).board.theme == "바다"
    found = way_back.look(boards)
    assert (found.waiting, list(found.blocked)) == (1, [BoardKey(OWNER, "달이", MONDAY)])
    exit_code, said = command("stage", "status")
    assert exit_code == 0
    assert said["way_back"]["examples"][0]["child"] == "달이"
    run("UPDATE habit_tracker SET week_period = 'elsewhere' WHERE id = 7")
    assert way_back.look(boards).blocked == {}
    run("UPDATE migration_ops_dirtykey SET not_before = NULL")
    applier.drain(boards)
    assert way_back.look(boards).waiting == 0
    assert [row["theme"] for row in table.rows()][-1] == "바다"


def test_nobody_goes_to_off_while_modern_has_what_legacy_lacks(table: Installation) -> None:
    table.reach("ramp")
    take_every_period(table)
    applier.drain(boards)
    family.put(OWNER, "달이", MONDAY, Contents(theme="바다"))
    transitions.back(boards, Stage.DUAL_WRITE, actor="test")
    with pytest.raises(Refused, match=r"^1 change .* has not reached legacy"):
        transitions.back(boards, Stage.OFF, actor="test")
    assert DirtyKey.objects.filter(side="modern").exists()


@pytest.mark.parametrize("stage", ["ramp", "live"])
def test_what_sql_did_to_modern_reaches_legacy_before_and_after_going_back(
    installation: Installation, stage: str
) -> None:
    installation.reach(stage)
    family.put(OWNER, "달이", MONDAY, Contents(theme="바다"))
    family.put(OWNER, "달이", date(2025, 7, 28), Contents(theme="숲"))
    run("UPDATE weeks SET theme = '산' WHERE theme = '바다'")
    applier.drain(boards)
    run("DELETE FROM weeks WHERE theme = '숲'")
    for earlier in ("ramp", "shadow") if stage == "live" else ("shadow",):
        transitions.back(boards, Stage(earlier), actor="test")
    applier.drain(boards)
    assert [row["theme"] for row in installation.rows()] == ["산"]
    assert not DirtyKey.objects.exists()
