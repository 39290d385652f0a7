"""A validation that is killed goes on; two at once are one too many."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from migration_ops.definition import AnyMigration
from migration_ops.models import Difference, Run, RunRange, RunStatus
from migration_ops.verify import journal as journals
from migration_ops.verify.compare import Tally
from tests.engine.syncing import run
from tests.engine.validating import copy_over, fill, validate_json

Start = Callable[..., "subprocess.Popen[str]"]

FAILPOINTS = [
    "validation_chunk_compared:1",
    "validation_chunk_noted:1",
    "validation_chunk_compared:2",
    "validation_chunk_noted:3",
    "validation_chunk_compared:5",
    "validation_suspects_settled:1",
]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_killed_validation_goes_on_and_counts_nothing_twice(
    notes: AnyMigration, start_notes_command: Start, failpoint: str
) -> None:
    numbers = "FROM generate_series(0, 2499) AS n"
    run(f"INSERT INTO legacy_notes (notebook, title, body) SELECT 'home', to_char(n, 'FM0000'), 'x' {numbers}")
    run(f"INSERT INTO modern_notes (notebook, title, lines) SELECT 'home', to_char(n, 'FM0000'), '{{x}}' {numbers}")
    run("UPDATE modern_notes SET lines = '{other}' WHERE title IN ('0000', '2499')")
    run("DELETE FROM modern_notes WHERE title = '1200'")
    run("INSERT INTO modern_notes (notebook, title, lines) VALUES ('zzz', 'last', '{}')")

    killed = start_notes_command("validate_migration", "--json", failpoint=failpoint)
    assert killed.wait(60) == -signal.SIGKILL, killed.communicate()
    finished = start_notes_command("validate_migration", "--json")
    out, err = finished.communicate(timeout=60)

    assert finished.returncode == 5, err
    data = json.loads(out)
    assert (data["legacy_rows"], data["notes_compared"], data["complete"]) == (2500, 2500, True)
    assert (data["matched"], data["mismatched"]) == (2497, 2)
    assert (data["missing_in_modern"], data["missing_in_legacy"]) == (1, 1)
    assert data["cells"] == {"legacy": 2500, "modern": 2499, "equal": 2497}
    assert Run.objects.count() == 1
    assert Difference.objects.count() == 4


def test_an_old_unfinished_validation_is_not_taken_up_again(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    stopped = _stopped_half_way(notes)
    stopped.started_at = timezone.now() - timedelta(days=2)
    stopped.save()

    code, data = validate_json()

    stopped.refresh_from_db()
    assert (code, data["legacy_rows"], stopped.status) == (0, 3, RunStatus.CANCELLED)
    assert data["run"] != stopped.pk


def test_a_young_unfinished_validation_is_taken_up_again(notes: AnyMigration) -> None:
    ids = fill(3)
    copy_over(notes)
    stopped = _stopped_half_way(notes)
    RunRange.objects.filter(run=stopped, number=journals.LEGACY_PASS).update(
        cursor=ids[1], counters=Tally(legacy_rows=2, matched=2).as_json()
    )

    code, data = validate_json()

    assert (code, data["run"], data["legacy_rows"], data["matched"]) == (0, stopped.pk, 3, 3)


def test_a_second_validation_at_once_is_refused_with_the_holder(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    journals.begin(notes, actor="somebody")

    code, data = validate_json()

    assert code == 4
    assert "held by" in data["error"]
    assert "until" in data["error"]


def test_a_sample_needs_no_lease_and_leaves_the_unfinished_validation_alone(notes: AnyMigration) -> None:
    fill(3)
    copy_over(notes)
    held = journals.begin(notes, actor="somebody")

    code, data = validate_json("--sample", "3")

    assert (code, data["sample"]) == (0, 3)
    held.run.refresh_from_db()
    assert held.run.status == RunStatus.RUNNING


def test_an_interrupted_validation_ends_with_130_and_can_go_on(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(3)
    copy_over(notes)

    with monkeypatch.context() as patch:
        patch.setattr(type(notes.modern()), "load", _interrupted)
        code, data = validate_json()
    assert (code, data["complete"]) == (130, False)
    assert Run.objects.get().status == RunStatus.PAUSED

    code, data = validate_json()
    assert (code, data["matched"], Run.objects.count()) == (0, 3, 1)


def _interrupted(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def _stopped_half_way(notes: AnyMigration) -> Run:
    journal = journals.begin(notes, actor="somebody")
    journal.suspend(RunStatus.PAUSED)
    return journal.run
