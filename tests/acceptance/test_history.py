"""Families write through the app and past it while everything else happens; nothing acknowledged is lost, doubled or
read stale.

Writer processes append lines with names of their own and read them back, each family in a session of its own, at 0, 30
and 100 % in turn. Meanwhile a backfill runs, the applier follows, some writers change legacy by plain SQL, and writers,
backfill and applier are killed with SIGKILL and started anew.
"""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction

from habits.migration import boards
from habits.traffic import ledger
from migration_ops import fence
from migration_ops.definition import Side
from migration_ops.models import DirtyKey, MigrationState
from migration_ops.sync import capture
from tests.acceptance.commands import run
from tests.acceptance.modern import query
from tests.acceptance.processes import Processes
from tests.engine.syncing import begin_dual_write, go_to_ramp, second_connection
from tests.engine.waiting import eventually
from tests.killed import Child

WRITERS = 3
TRAFFIC = (
    *("--rate", "25", "--seconds", "3000", "--owners", "5", "--concurrency", "2"),
    *("--write-percent", "60", "--append-percent", "60", "--keep"),
)

IMAGES = "SELECT 1 FROM migration_ops_beforeimage WHERE cause = 'conflict' AND strpos(image::text, %s) > 0"

LEGACY_LINES = """
SELECT line ->> 'name' FROM habit_tracker CROSS JOIN LATERAL jsonb_array_elements(habits) AS line
 WHERE starts_with(line ->> 'name', %s)
"""
MODERN_LINES = "SELECT name FROM habits WHERE starts_with(name, %s)"
PAST_THE_APP = """
UPDATE habit_tracker SET habits = habits || jsonb_build_object('id', %s::bigint, 'name', %s::text, 'times',
                                                               '["green","","","","","",""]'::jsonb)
 WHERE id = %s
"""


@pytest.fixture
def installation(transactional_db: None, settings: Any, tmp_path: Path) -> Iterator[None]:
    """400 clean legacy rows whose owners have accounts, at stage `dual_write`."""
    settings.VAR_DIR = tmp_path / "var"
    assert run("seed_legacy", "--rows", "400", "--reset").exit_code == 0
    assert run("import_owners", "--from-legacy").exit_code == 0
    begin_dual_write(boards)
    yield
    capture.remove(boards, side=Side.MODERN)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS habit_tracker CASCADE")


def write_past_the_app(rows: list[int], seed: int, names: Path) -> None:
    """Append lines to legacy rows by plain SQL, as somebody who knows nothing of the engine, until told to end.

    Args:
        names: file in which the names are written down of lines whose statement succeeded.
    """
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    chance = random.Random(seed)
    with second_connection() as own, names.open("w") as done:
        own.autocommit = True
        while not ended.wait(0.1):
            name = f"raw {chance.randrange(10**9)}"
            own.execute(PAST_THE_APP, [chance.randrange(10**6, 10**9), name, chance.choice(rows)])
            done.write(f"{name}\n")


def ledgers() -> list[ledger.Ledger]:
    found = (Path(django_settings.VAR_DIR) / "traffic").glob("*.jsonl")
    return [ledger.read(file) for file in found if file.stat().st_size]


def acknowledged() -> int:
    files = (Path(django_settings.VAR_DIR) / "traffic").glob("*.jsonl")
    return sum(file.read_text(encoding="utf-8").count('"acknowledged"') for file in files)


def move_to(percent: int) -> None:
    """What the rollout does, without its gates: no writer is within the fence meanwhile."""
    with transaction.atomic():
        fence.close(boards)
        now = MigrationState.objects.get()
        if now.stage == "dual_write":
            go_to_ramp(boards, percent=percent)
        else:
            MigrationState.objects.filter(name=boards.name).update(percent=percent, version=now.version + 1)


def history(processes: Processes, *, kills: int, writes_between: int, seed: int) -> None:
    chance = random.Random(seed)
    rows = [number for (number,) in query("SELECT id FROM habit_tracker ORDER BY id")]
    names = Path(django_settings.VAR_DIR) / "names"
    names.parent.mkdir(exist_ok=True)
    raw = Child(lambda: write_past_the_app(rows, seed, names))
    killed: Counter[str] = Counter()
    try:
        processes.start("sync_changes", "--follow")
        processes.start("backfill", "--batch-size", "2")
        for number in range(WRITERS):
            processes.start("simulate_traffic", *TRAFFIC, "--seed", str(number))
        for percent in (None, 0, 30, 100):
            if percent is not None:
                move_to(percent)
            for _ in range(kills):
                goal = acknowledged() + writes_between
                eventually(lambda: acknowledged() >= goal, seconds=60)  # noqa: B023 - called now
                for command in ("simulate_traffic", "backfill", "sync_changes"):
                    killed[command] += processes.kill(command, chance)
            if percent is None:
                processes.kill("backfill", chance)
                processes.wait_for("backfill")
        eventually(lambda: acknowledged() >= goal + writes_between, seconds=60)
    finally:
        raw.send(signal.SIGTERM)
        assert raw.outcome() == 0
    assert killed["backfill"] > 0
    assert killed["simulate_traffic"] == killed["sync_changes"] == 4 * kills
    processes.end()
    prove(processes, names.read_text().split("\n")[:-1])


def prove(processes: Processes, past_the_app: list[str]) -> None:
    traffic = [said for command, said in processes.said if command == "simulate_traffic"]
    assert traffic
    for said in traffic:
        assert (said["stale_reads"], said["lost"], said["mismatched"]) == (0, 0, 0), said
        assert said["served"].keys() <= {"legacy", "modern"}
    assert run("sync_changes").exit_code == 0
    assert not DirtyKey.objects.exists()
    for sql in (LEGACY_LINES, MODERN_LINES):
        found = Counter(name for (name,) in query(sql, ["traffic "]))
        wanted = {line.added.name for book in ledgers() for line in book.lines() if line.must_be_there()}
        assert not wanted - found.keys(), "nothing acknowledged is lost"
        assert max(found.values()) == 1, "nor doubled"
        past = Counter(name for (name,) in query(sql, ["raw "]))
        assert set(past.values()) == {1}
        overruled = set(past_the_app) - past.keys()
        assert all(query(IMAGES, [name]) for name in overruled), "what the other side overruled is kept for a person"
        assert len(overruled) < len(past_the_app) / 2
    for file in (Path(django_settings.VAR_DIR) / "traffic").glob("*.jsonl"):
        if file.stat().st_size:
            checked = run("simulate_traffic", "--check", str(file), "--keep")
            assert (checked.exit_code, checked["lost"], checked["mismatched"]) == (0, 0, 0), checked.data["findings"]
    whole = run("validate_migration")
    assert whole["complete"]
    assert (whole.exit_code, whole["mismatched"], whole["missing_in_modern"], whole["missing_in_legacy"]) == (
        0,
        0,
        0,
        0,
    )


def test_nothing_acknowledged_is_lost_doubled_or_read_stale(installation: None, processes: Processes) -> None:
    history(processes, kills=1, writes_between=20, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_nor_in_a_longer_history(installation: None, processes: Processes, seed: int) -> None:
    history(processes, kills=8, writes_between=60, seed=seed)
