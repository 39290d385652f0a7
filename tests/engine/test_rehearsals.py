"""A dry run of everything in the background: workers read it all, whatever dies, and nothing else is written."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

import pytest

from migration_ops import run_requests
from migration_ops.backfill import dry_run, rehearsals, report
from migration_ops.backfill import lease as leases
from migration_ops.backfill.stop import Deadline
from migration_ops.definition import AnyMigration, Page, Span
from migration_ops.models import HistoryEntry, Lineage, Run, RunKind, RunRange
from tests.engine.backfilling import backfill, fill
from tests.engine.background import Background
from tests.engine.staff import member, text
from tests.engine.syncing import begin_dual_write, command, run
from tests.engine.test_runs_page import GIVE_UP_REHEARSAL, REHEARSE, START, confirm, offered, page, press
from tests.engine.waiting import InThread
from tests.notes import schema
from tests.notes.note import Note, NoteKey
from tests.notes.stores import LegacyNotes

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


def work(migration: AnyMigration, seconds: float = 60) -> Run:
    """What a worker does for one wake-up, and the run after it."""
    rehearsals.work_slice(migration, Run.objects.get().pk, stop=Deadline(seconds))
    return Run.objects.get()


def rows_read(of: Run) -> int:
    return report.counters_of(of).rows_read


def interrupt(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> None:
    """Something happens while a page is read."""
    scan = LegacyNotes.scan

    def interrupted(self: LegacyNotes, span: Span, limit: int) -> Page[NoteKey, Note]:
        what()
        return scan(self, span, limit)

    monkeypatch.setattr(LegacyNotes, "scan", interrupted)


@pytest.fixture
def queued(writing: AnyMigration) -> AnyMigration:
    """Its dry run waits for a worker."""
    assert backfill("start", "--dry-run", "--queue")[0] == 0
    return writing


def test_a_slice_ends_after_the_page_at_hand_and_leaves_the_rest_to_the_next(
    queued: AnyMigration, in_background: Background
) -> None:
    in_background.client().flushall()
    after = work(queued, seconds=0)
    assert (rows_read(after), after.status, after.queued) == (dry_run.PAGE, "running", True)
    assert leases.holders(after.pk) == []
    assert [job.func_name for job in in_background.jobs()] == ["migration_ops.jobs.work_on_rehearsal"]
    assert (rows_read(work(queued)), Run.objects.get().status) == (ROWS, "succeeded")


def test_given_up_while_a_worker_is_at_it_it_ends_after_the_page_at_hand(
    queued: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = partial(run_requests.ask, queued, RunKind.REHEARSAL, run_requests.CANCEL, actor="ann")
    interrupt(monkeypatch, lambda: InThread(given_up).outcome())
    after = work(queued)
    assert (rows_read(after), after.status) == (dry_run.PAGE, "cancelled")
    assert leases.holders(after.pk) == []


def test_what_only_a_person_can_mend_fails_it_with_a_sentence_and_the_next_begins_anew(
    queued: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise LookupError("no such disk")

    interrupt(monkeypatch, broken)
    with pytest.raises(LookupError):
        work(queued)
    assert (Run.objects.get().status, Run.objects.get().error) == ("failed", "no such disk")
    assert "no such disk" in text(page(queued))
    assert {REHEARSE, GIVE_UP_REHEARSAL} <= offered(queued)
    confirm(member("operators"), queued, REHEARSE)
    assert list(Run.objects.order_by("pk").values_list("status", flat=True)) == ["cancelled", "running"]


def test_what_passes_by_itself_leaves_it_to_the_next_worker(
    queued: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    conflict = "DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = 'serialization_failure'; END $$"
    interrupt(monkeypatch, lambda: run(conflict))
    assert work(queued).status == "running"
    monkeypatch.undo()
    assert work(queued).status == "succeeded"


def test_a_store_that_prepares_itself_for_long_before_a_page_does_not_cost_the_worker_its_lease(
    queued: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []

    def prepare(_: LegacyNotes, working: Callable[[], None]) -> None:
        run("UPDATE migration_ops_runrange SET lease_until = clock_timestamp()")
        working()
        kept.append(len(leases.holders(Run.objects.get().pk)))

    monkeypatch.setattr(LegacyNotes, "prepare", prepare, raising=False)
    assert work(queued).status == "succeeded"
    assert kept == [1] * 3, "before each of the three pages"


@pytest.mark.parametrize(
    "option", [("--limit", "5"), ("--source", "x.json"), ("--restart",), ("--batch-size", "5"), ("--workers", "2")]
)
def test_what_a_dry_run_in_the_background_has_no_use_for_is_refused(
    writing: AnyMigration, option: tuple[str, ...]
) -> None:
    code, said, _ = backfill("start", "--dry-run", "--queue", *option)
    assert (code, f"leave {option[0]} out" in said["error"]) == (2, True)
    assert not Run.objects.exists()


def test_it_is_given_up_and_the_next_begins_anew(writing: AnyMigration) -> None:
    code, said, _ = backfill("start", "--dry-run", "--queue")
    assert (code, said["status"], said["dry_run"], said["rows_read"]) == (0, "running", True, 0)
    assert backfill("start", "--dry-run", "--queue")[1]["run"] == said["run"], "one that is with the workers stays"
    assert REHEARSE not in offered(writing)
    confirm(member("operators"), writing, GIVE_UP_REHEARSAL)
    assert command("scheduler", "--once")[1]["woken"] == {}
    assert Run.objects.get().status == "cancelled"
    assert backfill("start", "--dry-run", "--queue")[1]["run"] != said["run"]
