"""The backfill as an operator meets it: start, stop, go on, look, rehearse."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections, transaction

from migration_ops import transitions
from migration_ops.backfill import batch, service
from migration_ops.backfill import lease as leases
from migration_ops.backfill.service import Request
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import LeaseHeld, Refused
from migration_ops.models import (
    DirtyKey,
    HistoryEntry,
    Lineage,
    MigrationState,
    QuarantineItem,
    Run,
    RunKind,
    RunStatus,
)
from migration_ops.stages import Stage
from migration_ops.sync import capture
from tests.engine.backfilling import backfill, fill, make_run
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, rows, run
from tests.notes import schema


@pytest.fixture
def writing(notes: AnyMigration) -> AnyMigration:
    """The tiny domain at stage `dual_write`."""
    begin_dual_write(notes)
    return notes


def counts(said: dict[str, Any]) -> tuple[int, ...]:
    """Read, written, unchanged, merged, quarantined."""
    return tuple(
        said[name] for name in ("rows_read", "notes_written", "notes_unchanged", "notes_merged", "rows_quarantined")
    )


def verbs() -> Any:
    """Entries of the history that a backfill wrote."""
    return HistoryEntry.objects.filter(verb__startswith="backfill").order_by("id")


def versions() -> list[Any]:
    """Which transaction wrote each row that a backfill writes."""
    tables = ("modern_notes", "migration_ops_lineage", "migration_ops_quarantineitem", "migration_ops_mergerecord")
    return [rows(f"SELECT xmin::text FROM {table} ORDER BY ctid") for table in tables]


MESS = (
    ("home", "milk", "one"),
    ("home", "milk ", "two"),
    ("home", "eggs", "one"),
    ("home", "bread", None),
    ("home", "bread", "held because of its sibling"),
    (None, "lost", "no notebook"),
    ("work", " ", "no title"),
)


def test_every_row_is_written_merged_or_in_quarantine_and_the_counts_add_up(writing: AnyMigration) -> None:
    schema.add_rows(*MESS)
    code, said, _ = backfill()
    assert code == 3
    assert said["status"] == "succeeded"
    assert counts(said) == (7, 2, 0, 1, 4)
    assert schema.modern_rows() == [("home", "eggs", ["one"]), ("home", "milk", ["two", "one"])]
    assert Lineage.objects.count() == 7
    assert_in_step()


def test_the_speed_is_that_of_the_run_that_just_ended(writing: AnyMigration) -> None:
    schema.add_rows(*MESS)
    _, said, _ = backfill()
    assert said["seconds"] > 0
    assert said["rows_per_second"] == pytest.approx(7 / said["seconds"], rel=0.1)


def test_a_second_run_reads_everything_and_writes_nothing(writing: AnyMigration) -> None:
    schema.add_rows(*MESS)
    backfill()
    before = versions()
    _, said, _ = backfill()
    assert (said["rows_read"], said["notes_written"], said["notes_unchanged"]) == (7, 0, 2)
    assert versions() == before


def test_an_empty_store_is_done_at_once(writing: AnyMigration) -> None:
    code, said, _ = backfill()
    assert (code, said["status"], said["rows_read"], said["rows_per_second"]) == (0, "succeeded", 0, 0.0)


def test_without_capture_it_is_refused_and_no_run_stays_behind(notes: AnyMigration) -> None:
    fill(3)
    code, said, error = backfill()
    assert code == 4
    assert "Backfill needs capture: run `manage.py stage advance` first." in error
    assert "error" in said
    assert not Run.objects.exists()
    assert schema.modern_rows() == []


def test_a_rehearsal_counts_everything_and_writes_nothing_at_any_stage(notes: AnyMigration) -> None:
    schema.add_rows(*MESS)
    code, said, _ = backfill("--dry-run")
    assert code == 0
    assert said["dry_run"] is True
    assert counts(said) == (7, 2, 0, 1, 4)
    assert schema.modern_rows() == []
    assert not any(model.objects.exists() for model in (Run, Lineage, QuarantineItem))


def test_a_rehearsal_after_a_backfill_finds_everything_unchanged(writing: AnyMigration) -> None:
    schema.add_rows(*MESS)
    backfill()
    run("UPDATE modern_notes SET lines = '{other}' WHERE title = 'eggs'")
    said = backfill("--dry-run")[1]
    assert (said["notes_written"], said["notes_unchanged"]) == (1, 1)


def test_a_limited_run_is_a_trial_that_does_not_count_as_complete(writing: AnyMigration) -> None:
    fill(30)
    code, said, _ = backfill("--limit", "12")
    assert (code, said["rows_read"], said["limit"], said["status"]) == (0, 12, 12, "succeeded")
    assert len(schema.modern_rows()) == 12
    said = backfill()[1]
    assert (said["rows_read"], said["notes_written"], said["notes_unchanged"]) == (30, 18, 12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pause", "--queue"), "is for `backfill start`"),
        (("--batch-size", "0"), "1 to 5000 rows"),
        (("--workers", "0"), "1 to 32 workers"),
        (("--limit", "-1"), "at least one row"),
        (("--limit", "5", "--workers", "2"), "one worker only"),
        (("--source", "somewhere.json"), "cannot read a file"),
        (("pause", "--dry-run"), "is for `backfill start`"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    writing: AnyMigration, arguments: tuple[str, ...], words: str
) -> None:
    fill(3)
    code, said, error = backfill(*arguments)
    assert code == 2
    assert words in error
    assert words in said["error"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(("arguments", "code"), [(("--source", "somewhere.json"), 2), (("resume",), 4)])
def test_a_refusal_does_not_pass_the_last_runs_counts_off_as_its_own(
    writing: AnyMigration, arguments: tuple[str, ...], code: int
) -> None:
    fill(3)
    assert backfill()[0] == 0
    refused, said, error = backfill(*arguments)
    assert refused == code
    assert said == {"run": None, "status": "none", "error": error.strip()}


def test_rows_that_vanished_while_capture_was_off_vanish_from_modern(writing: AnyMigration) -> None:
    ids = fill(10)
    backfill()
    run("UPDATE migration_ops_migrationstate SET capture_since = clock_timestamp()")
    run("SELECT set_config('migration_ops.origin', 'unseen', false)")
    run("DELETE FROM legacy_notes WHERE id = %s", ids[4])
    run("UPDATE legacy_notes SET title = 'moved' WHERE id = %s", ids[5])
    run("SELECT set_config('migration_ops.origin', '', false)")
    assert not DirtyKey.objects.exists()
    said = backfill()[1]
    assert (said["rows_read"], said["vanished"], said["dirty_remaining"]) == (9, 1, 0)
    assert_in_step()


def test_changes_during_the_run_are_worked_off_at_its_end(writing: AnyMigration) -> None:
    fill(5)
    ids = fill(1)
    run("UPDATE legacy_notes SET body = 'late' WHERE id = %s", ids[0])
    said = backfill()[1]
    assert said["applied"] > 0
    assert said["dirty_remaining"] == 0
    assert not DirtyKey.objects.exists()


def test_lost_captures_are_made_good_by_a_complete_run_and_not_by_a_trial(writing: AnyMigration) -> None:
    fill(5)
    run(f"SELECT nextval('{capture.LOST}')")
    assert capture.status(writing).lost == 1
    backfill("--limit", "2")
    assert capture.status(writing).lost == 1
    backfill()
    assert capture.status(writing).lost == 0


def test_an_unfinished_run_goes_on_where_it_stopped(writing: AnyMigration) -> None:
    fill(20)
    DirtyKey.objects.all().delete()
    unfinished = make_run(writing)
    unfinished.ranges.filter(number=1).update(
        cursor=rows("SELECT id FROM legacy_notes ORDER BY id OFFSET 14 LIMIT 1")[0][0],
        counters={"rows_read": 15, "written": 15},
    )
    said = backfill("resume")[1]
    assert (said["run"], said["rows_read"], said["notes_written"]) == (unfinished.pk, 20, 20)
    assert len(schema.modern_rows()) == 5


def test_a_run_does_not_go_on_across_a_time_without_capture(writing: AnyMigration) -> None:
    fill(4)
    stale = make_run(writing)
    run("UPDATE migration_ops_migrationstate SET capture_since = clock_timestamp()")
    said = backfill()[1]
    stale.refresh_from_db()
    assert said["run"] != stale.pk
    assert (stale.status, stale.error) == ("cancelled", "Capture was off in between.")
    assert said["rows_read"] == 4


def test_restart_gives_the_unfinished_run_up(writing: AnyMigration) -> None:
    fill(4)
    old = make_run(writing)
    said = backfill("--restart")[1]
    old.refresh_from_db()
    assert (old.status, said["status"]) == ("cancelled", "succeeded")
    assert said["run"] != old.pk


def test_an_unfinished_run_is_not_bent_to_another_limit(writing: AnyMigration) -> None:
    fill(4)
    make_run(writing)
    code, _, error = backfill("--limit", "2")
    assert code == 4
    assert "--restart" in error


def test_pause_and_cancel_without_a_run_are_refused(writing: AnyMigration) -> None:
    for verb in ("pause", "cancel"):
        code, _, error = backfill(verb)
        assert code == 4
        assert "no unfinished backfill" in error
    assert backfill("resume")[0] == 4


def test_a_run_whose_process_is_gone_is_paused_and_cancelled_on_the_spot(writing: AnyMigration) -> None:
    fill(4)
    make_run(writing)
    assert backfill("pause")[1]["status"] == "paused"
    assert backfill("cancel")[1]["status"] == "cancelled"
    assert list(verbs().values_list("verb", flat=True)) == [
        "backfill pause",
        "backfill cancel",
    ]


def test_status_says_how_far_it_is_and_whose_it_is(writing: AnyMigration) -> None:
    assert backfill("status")[1] == {"run": None, "status": "none"}
    fill(10)
    unfinished = make_run(writing)
    unfinished.ranges.filter(number=1).update(counters={"rows_read": 4, "written": 4, "speed": 2.0})
    Run.objects.update(total=10, hold_reason="Holding back: something.")
    lease = leases.claim(unfinished.pk, 0, leases.timedelta(seconds=60))
    code, said, _ = backfill("status")
    assert code == 0
    assert (said["status"], said["rows_read"], said["fraction"], said["eta_seconds"]) == ("running", 4, 0.4, 3.0)
    assert said["hold_reason"] == "Holding back: something."
    assert said["lease"]["holder"] == leases.this_process()
    assert said["ranges"][0]["rows_read"] == 4
    leases.release(lease)
    assert backfill("status")[1]["lease"] is None


def test_of_a_run_at_which_nobody_works_no_speed_and_no_time_left_is_told(writing: AnyMigration) -> None:
    fill(10)
    unfinished = make_run(writing)
    unfinished.ranges.filter(number=1).update(counters={"rows_read": 4, "written": 4, "speed": 5.0})
    Run.objects.update(total=10, queued=True)

    def told() -> str:
        out = io.StringIO()
        call_command("backfill", "status", stdout=out)
        return out.getvalue()

    lease = leases.claim(unfinished.pk, 0, leases.timedelta(seconds=60))
    assert "less than 2 s" in told()
    leases.release(lease)
    nobody = told()
    assert "rows/s" not in nobody
    assert "time left" not in nobody
    assert "40.0 %" in nobody
    assert "The run waits for a worker of the queue." in nobody
    assert "backfill status" not in nobody


def test_two_at_once_the_second_is_told_by_whom_and_until_when(writing: AnyMigration) -> None:
    fill(4)
    held = make_run(writing)
    lease = leases.claim(held.pk, 0, leases.timedelta(seconds=60))
    code, _, error = backfill()
    assert code == 4
    assert leases.this_process() in error
    assert "until 2" in error
    for arguments in (("resume",), ("--restart",)):
        assert backfill(*arguments)[0] == 4
    leases.release(lease)
    assert backfill()[0] == 0


def test_two_started_at_the_same_moment_make_one_run(writing: AnyMigration) -> None:
    fill(200)
    outcomes: list[object] = []
    gate = threading.Barrier(4)

    def start() -> None:
        gate.wait()
        try:
            outcomes.append(service.start(writing, Request(actor="test", batch_size=5)).status)
        except (LeaseHeld, Refused) as error:
            outcomes.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert len(refused) + outcomes.count("succeeded") == 4
    assert Run.objects.filter(status="succeeded").count() == outcomes.count("succeeded") >= 1
    assert not Run.objects.exclude(status="succeeded").exists()
    assert_in_step()


def test_the_history_says_who_started_what_and_how_it_ended(writing: AnyMigration) -> None:
    fill(3)
    backfill("--reason", "first try")
    entries = list(verbs().values_list("verb", "actor", "reason"))
    assert entries == [("backfill start", "test", "first try"), ("backfill succeeded", "test", "")]
    assert HistoryEntry.objects.latest("id").evidence["rows_read"] == 3


def test_several_workers_share_a_run(writing: AnyMigration) -> None:
    schema.add_rows(*MESS)
    fill(300)
    code, said, error = backfill("--workers", "3", "--batch-size", "7")
    assert code == 3, error
    assert (said["rows_read"], said["notes_written"], said["notes_merged"], said["rows_quarantined"]) == (
        307,
        302,
        1,
        4,
    )
    assert Run.objects.get().ranges.filter(number__gt=0).count() == 12
    assert_in_step()


def test_an_illegal_stage_stops_it_with_a_sentence_and_leaves_nothing_half_done(
    writing: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(30)
    ordinary, batches = batch.run, []

    def go_back() -> None:
        transitions.back(writing, Stage.OFF, actor="test", reason="test")
        connections.close_all()

    def run_but_go_back_before_the_third(*arguments: Any, **options: Any) -> Any:
        batches.append(1)
        if len(batches) == 3:
            thread = threading.Thread(target=go_back)
            thread.start()
            thread.join()
        return ordinary(*arguments, **options)

    monkeypatch.setattr(batch, "run", run_but_go_back_before_the_third)
    code, said, error = backfill("--batch-size", "5")
    assert code == 4
    assert "is at stage off now" in error
    assert (said["status"], said["rows_read"], len(schema.modern_rows())) == ("paused", 10, 10)
    assert MigrationState.objects.get().stage == "off"


def test_a_run_of_another_kind_is_not_touched(writing: AnyMigration) -> None:
    fill(2)
    with transaction.atomic():
        other = Run.objects.create(
            migration="notes", kind=RunKind.VALIDATION, started_at="2026-01-01T00:00:00Z", status=RunStatus.PAUSED
        )
    assert backfill()[0] == 0
    other.refresh_from_db()
    assert other.status == "paused"
