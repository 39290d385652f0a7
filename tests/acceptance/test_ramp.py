"""The whole ramp under traffic, as an operator makes it: up through the gates, down, and up again; then modern says
what it should not, or cannot be read at all, and reads go back by themselves. No family's request fails.

Real processes: families' traffic, the applier, the evaluator. What is shortened stands in `quick_settings`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from habits.migration import boards
from migration_ops import history, state
from migration_ops.definition import Side
from migration_ops.models import DirtyKey, Metric
from migration_ops.observe.measures import ReadOutcome, What
from migration_ops.rollout import control
from migration_ops.sync import capture
from tests.acceptance import quick_settings
from tests.acceptance.commands import Result, run
from tests.acceptance.processes import Processes
from tests.engine.waiting import eventually

TRAFFIC = ("--rate", "40", "--seconds", "3000", "--owners", "30", "--concurrency", "3", "--keep")
PLANTED = """
SELECT set_config('migration_ops.origin', 'a defect that nobody hears of', true);
UPDATE weeks SET theme = 'planted' WHERE id IN (SELECT id FROM weeks ORDER BY random() LIMIT 20);
"""
AWAY = "ALTER TABLE weeks RENAME TO weeks_away"
BACK = "ALTER TABLE weeks_away RENAME TO weeks"
WHO = ("--actor", "operator", "--reason", "acceptance")


@pytest.fixture
def installation(
    transactional_db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """300 clean legacy rows whose owners have accounts, carried over and compared, at stage `dual_write`."""
    settings.VAR_DIR = tmp_path / "var"
    settings.MIGRATION_OPS = quick_settings.MIGRATION_OPS
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", quick_settings.__name__)  # of the processes that are started
    steps = (
        ("seed_legacy", "--rows", "300", "--reset"),
        ("import_owners", "--from-legacy"),
        ("stage", "advance", *WHO),
        ("backfill",),
        ("shadow_schema", "validate"),
        ("validate_migration",),
    )
    for step in steps:
        assert run(*step).exit_code == 0, step
    yield
    capture.remove(boards, side=Side.MODERN)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS habit_tracker CASCADE")
        for key in boards.foreign_keys:
            cursor.execute(f"ALTER TABLE {key.table} DROP CONSTRAINT {key.name}")


def execute(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def advance(*, until: tuple[str, float]) -> None:
    """`rollout advance` again and again, as somebody who waits for the evidence, up to this stage and percentage."""
    last: list[Result] = []

    def there() -> bool:
        last[:] = [run("rollout", "advance", *WHO)]
        assert last[0].exit_code in (0, 4), last[0].errors
        return (last[0]["stage"], last[0]["percent"]) == until

    try:
        eventually(there, seconds=90)
    except AssertionError:
        raise AssertionError(last[0].errors) from None


def go_to_work(processes: Processes) -> None:
    for command in (("sync_changes", "--follow"), ("rollout", "evaluate", "--follow"), ("simulate_traffic", *TRAFFIC)):
        processes.start(*command)


def assert_nobody_noticed(processes: Processes) -> None:
    processes.end()
    (traffic,) = [said for command, said in processes.said if command == "simulate_traffic"]
    assert (traffic["failures"], traffic["lost"], traffic["mismatched"], traffic["stale_reads"]) == (0, 0, 0, 0)
    assert traffic["served"].keys() >= {"legacy", "modern"}


def test_up_and_down_and_up_under_traffic_and_back_by_itself_from_a_defect_without_one_failure(
    installation: None, processes: Processes
) -> None:
    go_to_work(processes)
    advance(until=("ramp", 0))
    advance(until=("ramp", 100))
    assert run("rollout", "set", "20", *WHO)["percent"] == 20
    advance(until=("ramp", 100))
    execute(PLANTED)
    eventually(lambda: state.read(boards).percent == 0, seconds=60)
    assert state.read(boards).hold
    assert run("rollout", "advance", *WHO).exit_code == 4
    assert_nobody_noticed(processes)
    entries = list(reversed(history.entries(boards)))
    assert [(each.from_stage, each.to_stage) for each in entries if each.verb == "advance"] == [
        ("off", "dual_write"),
        ("dual_write", "shadow"),
        ("shadow", "ramp"),
    ]
    turned = [each for each in entries if each.verb == "set"]
    assert [each.evidence["after"]["percent"] for each in turned] == [5, 20, 50, 100, 20, 50, 100]
    for each in turned:
        assert {gate["verdict"] for gate in each.evidence["gates"]} <= {"pass"}
        assert each.actor == "operator"
    (automatic,) = [each for each in entries if each.verb == control.AUTOMATIC]
    assert automatic.actor == "evaluator"
    assert "shadow_reads_clean" in automatic.reason
    assert history.verify().ok
    assert run("sync_changes").exit_code == 0
    assert not DirtyKey.objects.exists()
    assert run("validate_migration", "--repair", "--reason", "planted").exit_code in (0, 5)
    assert run("validate_migration").exit_code == 0


def test_live_and_back_by_itself_from_a_modern_that_cannot_be_read_without_one_failure(
    installation: None, processes: Processes
) -> None:
    go_to_work(processes)
    advance(until=("ramp", 0))
    advance(until=("live", 100))
    execute(AWAY)
    try:
        eventually(lambda: state.read(boards).kill, seconds=60)
    finally:
        execute(BACK)
    assert_nobody_noticed(processes)
    (automatic,) = [each for each in history.entries(boards) if each.verb == control.AUTOMATIC]
    assert automatic.actor == "evaluator"
    assert "read_errors" in automatic.reason
    assert Metric.objects.filter(name=What.READ, outcome=ReadOutcome.FALLBACK).exists()
    assert run("sync_changes").exit_code == 0
    assert not DirtyKey.objects.exists()
    assert run("validate_migration").exit_code == 0
