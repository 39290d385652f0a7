"""Stages: the data, and the commands that show and move them."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise
from typing import Any

import pytest
from django.core.management import call_command

from migration_ops import overview, stages, state, transitions
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import HistoryEntry, MigrationState, QuarantineItem, Run, RunRange
from migration_ops.stages import ORDER, TRANSITIONS, Stage
from tests.database import database_url
from tests.engine.conftest import ROOT
from tests.engine.syncing import rows
from tests.engine.test_gates import a_backfill, now
from tests.notes import schema


def test_forward_goes_one_stage_at_a_time_and_never_without_a_gate() -> None:
    forward = [step for step in TRANSITIONS if step.forward]
    assert [(step.source, step.target) for step in forward] == list(pairwise(ORDER))
    assert all(step.gates for step in forward)


def test_the_way_back_has_no_gates_and_ends_only_at_dropped() -> None:
    assert not [step for step in TRANSITIONS if not step.forward and step.gates]
    assert [stage for stage in Stage if not stages.earlier_stages(stage)] == [Stage.OFF, Stage.DROPPED]


def test_every_stage_before_ramp_can_be_reached_from_ramp_at_once() -> None:
    assert stages.earlier_stages(Stage.RAMP) == (Stage.SHADOW, Stage.DUAL_WRITE, Stage.OFF)


def test_there_is_no_step_twice() -> None:
    edges = [(step.source, step.target) for step in TRANSITIONS]
    assert len(edges) == len(set(edges))


def test_legacy_is_in_authority_until_ramp_and_modern_after() -> None:
    assert [stages.authority(stage) for stage in ORDER] == [
        *[Side.LEGACY] * 3,
        None,
        *[Side.MODERN] * 4,
    ]


def test_the_backfill_runs_only_where_capture_is_on() -> None:
    assert stages.CAPTURING[Side.LEGACY] >= stages.BACKFILLING


def test_a_migration_nobody_moved_is_at_off(notes: AnyMigration) -> None:
    assert state.read(notes) == state.State("notes")
    assert not MigrationState.objects.exists()


def command(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object, and what was said on stderr."""
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command(*arguments, "--json", stdout=out, stderr=err)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, json.loads(out.getvalue()), err.getvalue()


CONTRACT = {"migration", "stage", "percent", "hold", "kill", "gates", "next", "back_to"}


def test_status_shows_the_stage_and_the_gates_of_the_next_step(notes: AnyMigration) -> None:
    code, shown, _ = command("stage", "status")
    assert code == 0
    assert set(shown) >= CONTRACT
    assert (shown["stage"], shown["next"], shown["back_to"]) == ("off", "dual_write", [])
    assert [(gate["id"], gate["verdict"]) for gate in shown["gates"]] == [("preflight_clean", "pass")]


def test_advance_and_back_move_and_write_who_and_why(notes: AnyMigration) -> None:
    code, shown, _ = command("stage", "advance", "--actor", "ann", "--reason", "we begin")
    assert (code, shown["stage"], shown["back_to"]) == (0, "dual_write", ["off"])
    code, shown, _ = command("stage", "back", "--to", "off", "--actor", "ben", "--reason", "not today")
    assert (code, shown["stage"]) == (0, "off")
    said = HistoryEntry.objects.order_by("id").values_list("actor", "verb", "reason")
    assert list(said) == [("ann", "advance", "we begin"), ("ben", "back", "not today")]


def test_a_refused_advance_ends_with_4_and_a_sentence_for_each_closed_gate(notes: AnyMigration) -> None:
    transitions.advance(notes, actor="ann")
    code, shown, err = command("stage", "advance")
    assert code == 4
    assert set(shown) >= CONTRACT | {"error"}
    assert shown["stage"] == "dual_write"
    closed = [gate for gate in shown["gates"] if gate["verdict"] != "pass"]
    assert closed
    assert all(gate["message"] in err and gate["message"] in shown["error"] for gate in closed)


def test_on_hold_advance_ends_with_4(notes: AnyMigration) -> None:
    MigrationState.objects.create(name="notes", hold=True)
    code, shown, err = command("stage", "advance")
    assert (code, shown["stage"], shown["hold"]) == (4, "off", True)
    assert "on hold" in err


def test_a_way_back_that_is_none_ends_with_4(notes: AnyMigration) -> None:
    assert command("stage", "back", "--to", "ramp")[0] == 4


@pytest.mark.parametrize("arguments", [("back",), ("advance", "--to", "shadow")])
def test_a_verb_without_what_it_needs_ends_with_2(notes: AnyMigration, arguments: tuple[str, ...]) -> None:
    assert command("stage", *arguments)[0] == 2


def test_a_dry_run_of_the_command_moves_nothing(notes: AnyMigration) -> None:
    code, shown, _ = command("stage", "advance", "--dry-run")
    assert (code, shown["stage"], shown["would_be"]) == (0, "off", "dual_write")
    transitions.advance(notes, actor="ann")
    code, shown, _ = command("stage", "back", "--to", "off", "--dry-run")
    assert (code, shown["stage"], shown["would_be"]) == (0, "dual_write", "off")
    assert state.stage(notes) is Stage.DUAL_WRITE


def test_people_read_sentences(notes: AnyMigration) -> None:
    out = StringIO()
    call_command("stage", stdout=out)
    assert "notes is at off (next dual_write; nowhere to go back to)." in out.getvalue()


def test_the_overview_shows_all_that_is_going_on(notes: AnyMigration) -> None:
    transitions.advance(notes, actor="ann", reason="we begin")
    run = a_backfill(status="running", total=8)
    RunRange.objects.create(run=run, number=1, counters={"rows_read": 2, "speed": 9.5})
    RunRange.objects.create(run=run, number=2, counters={"rows_read": 4})
    for row, status in (("1", "open"), ("2", "accepted"), ("3", "resolved")):
        QuarantineItem.objects.create(
            migration="notes", row=row, code="title_missing", message="m", status=status, found_at=now()
        )
    schema.add_rows(("a", "t", "x"))
    code, shown, _ = command("migration_status")
    assert code == 0
    assert set(shown) >= CONTRACT | {"runs", "dirty", "quarantine", "lineage_rows", "differences_open", "history"}
    backfill = shown["runs"]["backfill"]
    assert (backfill["status"], backfill["rows"], backfill["rows_expected"], backfill["share"]) == (
        "running",
        6,
        8,
        0.75,
    )
    assert shown["runs"]["validation"] is None
    assert shown["dirty"]["count"] == 1
    assert shown["dirty"]["by_side"] == {"legacy": 1}
    assert shown["quarantine"] == {
        "open": 1,
        "accepted": 1,
        "open_by_code": {"title_missing": 1},
        "accepted_by_code": {"title_missing": 1},
    }
    assert [entry["reason"] for entry in shown["history"]] == ["we begin"]


def test_the_overview_of_a_run_shows_the_last_one_of_its_kind(notes: AnyMigration) -> None:
    a_backfill()
    last = a_backfill()
    assert overview.last_run(notes, Run(kind="backfill").kind) is not None
    shown = overview.last_run(notes, last.kind)  # type: ignore[arg-type]
    assert shown is not None
    assert shown["run"] == last.pk


def test_watching_needs_a_terminal(notes: AnyMigration) -> None:
    assert command("migration_status", "--watch")[0] == 2


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a terminal: where one looks, and what a process writes to."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_watching_shows_the_stage_anew_until_it_is_interrupted(notes: AnyMigration, terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.notes.manage", "migration_status", "--watch"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url(), "TERM": "xterm", "COLUMNS": "120", "LINES": "50"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    try:
        read_until(ours, "is at off")
        transitions.advance(notes, actor="ann\x1b]0;y\x07", reason="the end")
        shown = read_until(ours, "is at dual_write") + read_until(ours, "the end")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert rows("SELECT 1") == [(1,)]
    assert ("ann␛]0;y" in plain(shown), "\x1b]" in shown) == (True, False), "a name gives the terminal no orders"


def read_until(descriptor: int, text: str) -> str:
    """Read until these words were shown, whatever colours are between them."""
    seen = ""
    while text.replace(" ", "") not in plain(seen):
        seen += os.read(descriptor, 65536).decode(errors="replace")
    return seen


def plain(shown: str) -> str:
    return "".join(part.split("m", 1)[-1] for part in shown.replace(" ", "").split("\x1b["))
