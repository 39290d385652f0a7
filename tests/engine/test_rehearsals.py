"""A dry run of everything in the background: workers read it all, whatever dies, and nothing else is written."""

from __future__ import annotations

import signal

import pytest

from migration_ops.backfill import rehearsals
from migration_ops.definition import AnyMigration
from migration_ops.models import HistoryEntry, Lineage, Run, RunRange
from tests.engine.backfilling import backfill, fill
from tests.engine.background import Background
from tests.engine.staff import member
from tests.engine.syncing import begin_dual_write, command, run
from tests.engine.test_runs_page import GIVE_UP_REHEARSAL, REHEARSE, START, confirm, offered, page, press, text
from tests.notes import schema

ROWS = 1_200
"""More than two pages."""


@pytest.fixture
def writing(notes: AnyMigration, in_background: Background) -> AnyMigration:
    """The tiny domain at stage `dual_write`, with many notes from before that, one of them for the quarantine."""
    fill(ROWS)
    run("UPDATE legacy_notes SET body = NULL WHERE title = 'n0003'")
    begin_dual_write(notes)
    return notes


def test_a_worker_that_is_killed_is_replaced_and_what_was_found_is_said_before_a_start(
    writing: AnyMigration, in_background: Background
) -> None:
    client = member("operators")
    assert confirm(client, writing, REHEARSE, reason="tonight").status_code == 302
    dying = in_background.worker(f"{rehearsals.NOTED}:2", slice_seconds=45)
    in_background.eventually(lambda: f"(signal {signal.SIGKILL})" in in_background.said())
    dying.kill()
    in_background.worker(slice_seconds=0.01)
    in_background.scheduler()
    in_background.eventually(lambda: Run.objects.filter(kind="rehearsal", status="succeeded").exists())
    done = Run.objects.get(kind="rehearsal")
    assert (done.result["rows_read"], done.result["notes_written"], done.result["rows_quarantined"]) == (
        1_200,
        1_199,
        1,
    )
    assert not RunRange.objects.filter(run=done).exclude(lease_until=None).exists()
    assert (schema.modern_rows(), Lineage.objects.exists()) == ([], False)
    assert HistoryEntry.objects.get(verb="rehearsal start").reason == "tonight"
    assert "Would be written</dt><dd>1,199<" in text(page(writing))
    looked = text(press(client, writing, START))
    assert "In the dry run of everything that ended" in looked
    assert "of 1,200 rows:" in looked


def test_it_is_given_up_and_the_next_begins_anew(writing: AnyMigration) -> None:
    code, said, _ = backfill("start", "--dry-run", "--queue")
    assert (code, said["status"], said["dry_run"], said["rows_read"]) == (0, "running", True, 0)
    assert backfill("start", "--dry-run", "--queue")[1]["run"] == said["run"], "one that is with the workers stays"
    assert REHEARSE not in offered(writing)
    confirm(member("operators"), writing, GIVE_UP_REHEARSAL)
    assert command("scheduler", "--once")[1]["woken"] == {}
    assert Run.objects.get().status == "cancelled"
    assert backfill("start", "--dry-run", "--queue")[1]["run"] != said["run"]
