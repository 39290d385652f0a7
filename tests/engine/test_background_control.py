"""A backfill in the background can be paused, resumed, cancelled, shared and taken over, whoever works on it."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from migration_ops import queue
from migration_ops.backfill import background as service
from migration_ops.backfill import lease as leases
from migration_ops.definition import AnyMigration
from migration_ops.models import HistoryEntry, Run, RunRange
from tests.engine.backfilling import backfill, fill
from tests.engine.background import Background
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, command, run, second_connection
from tests.notes import schema

SLOW = ("--batch-size", "1")
ROWS = 1_500
"""So many batches that nobody has done them all before it is asked to stop."""

WHOLE_SLICE = 45.0
"""Seconds of a slice that no test waits for."""


@pytest.fixture
def writing(notes: AnyMigration) -> AnyMigration:
    """The tiny domain at stage `dual_write`, with many notes from before that."""
    fill(ROWS)
    begin_dual_write(notes)
    return notes


def copied() -> int:
    return len(schema.modern_rows())


def the_run() -> Run:
    """The backfill; workers look for drift beside it."""
    return Run.objects.get(kind="backfill")


def status() -> str:
    return the_run().status


def start(background: Background, *arguments: str) -> None:
    assert backfill("start", "--queue", *SLOW, *arguments)[0] == 0
    background.eventually(lambda: copied() > 10)


def assert_goes_on_to_the_end(background: Background) -> None:
    background.eventually(lambda: status() == "succeeded")
    assert_in_step()
    assert the_run().result["rows_read"] == ROWS
    assert not the_run().ranges.exclude(lease_until=None).exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_pause_takes_effect_after_the_batch_and_resume_goes_on(
    writing: AnyMigration, in_background: Background, workers: int
) -> None:
    for _ in range(workers):
        in_background.worker(slice_seconds=WHOLE_SLICE)
    in_background.scheduler()
    start(in_background, "--workers", str(workers))

    code, said, _ = backfill("pause", "--reason", "rush hour")

    assert (code, said["status"]) == (0, "paused")
    there = copied()
    assert there < ROWS
    assert command("scheduler", "--once")[1]["woken"] == {}
    assert (copied(), status()) == (there, "paused")
    assert backfill("resume", "--queue")[:1] == (0,)
    assert_goes_on_to_the_end(in_background)
    said = HistoryEntry.objects.filter(verb__startswith="backfill").order_by("id")
    verbs = [entry.verb for entry in said if entry.verb != "backfill paused"]  # by whoever left last, or by `pause`
    assert verbs == ["backfill start", "backfill pause", "backfill resume", "backfill succeeded"]


@pytest.mark.parametrize(("verb", "becomes"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_run_that_nobody_works_on_yet_is_paused_or_cancelled_at_once(
    writing: AnyMigration, in_background: Background, verb: str, becomes: str
) -> None:
    backfill("start", "--queue")
    began = time.monotonic()
    code, said, _ = backfill(verb)
    assert (code, said["status"]) == (0, becomes)
    assert time.monotonic() - began < 5
    in_background.worker()
    in_background.eventually(lambda: in_background.jobs() == [])
    in_background.eventually(lambda: "Job OK" in in_background.said())
    assert (copied(), status()) == (0, becomes)


def test_who_starts_it_once_more_while_a_worker_is_at_it_is_told_who(
    writing: AnyMigration, in_background: Background
) -> None:
    in_background.worker(slice_seconds=WHOLE_SLICE)
    start(in_background)
    code, said, _ = backfill("start", "--queue")
    assert (code, said["error"].startswith(f"Workers are at run {the_run().pk} already: ")) == (4, True)
    assert " until " in said["error"]


def test_cancel_keeps_what_was_written_and_nobody_goes_on(writing: AnyMigration, in_background: Background) -> None:
    in_background.worker(slice_seconds=WHOLE_SLICE)
    in_background.worker(slice_seconds=WHOLE_SLICE)
    in_background.scheduler()
    start(in_background, "--workers", "2")
    assert backfill("cancel")[1]["status"] == "cancelled"
    there = copied()
    assert 10 < there < ROWS
    assert command("scheduler", "--once")[1]["woken"] == {}
    assert (copied(), status()) == (there, "cancelled")


def test_a_pause_that_nobody_is_left_to_obey_is_carried_out_by_the_scheduler(
    writing: AnyMigration, in_background: Background
) -> None:
    backfill("start", "--queue")
    Run.objects.update(requested="pause")
    assert command("scheduler", "--once")[0] == 0
    assert status() == "paused"


def test_several_workers_share_a_run_on_disjoint_ranges(writing: AnyMigration, in_background: Background) -> None:
    for _ in range(3):
        in_background.worker(slice_seconds=WHOLE_SLICE)
    in_background.scheduler()
    start(in_background, "--workers", "3")
    owners = RunRange.objects.filter(number__gt=0).exclude(lease_owner="").values_list("lease_owner", flat=True)
    in_background.eventually(lambda: len(set(owners.all())) == 3)
    assert_goes_on_to_the_end(in_background)
    assert len(RunRange.objects.filter(number__gt=0)) == 12


def test_when_one_of_several_dies_another_is_woken_in_its_place(
    writing: AnyMigration, in_background: Background
) -> None:
    workers = [in_background.worker(slice_seconds=WHOLE_SLICE) for _ in range(2)]
    in_background.scheduler()
    start(in_background, "--workers", "2")
    (horse,) = in_background.eventually(lambda: in_background.horses(workers[0]))
    horse.kill()
    in_background.eventually(lambda: [each for each in in_background.horses(workers[0]) if each.pid != horse.pid])
    in_background.eventually(lambda: len({each.owner for each in leases.holders(the_run().pk)}) == 2)
    assert_goes_on_to_the_end(in_background)


def test_sigterm_to_a_worker_ends_its_slice_after_the_batch_and_another_goes_on(
    writing: AnyMigration, in_background: Background
) -> None:
    leaving = in_background.worker(slice_seconds=WHOLE_SLICE)
    start(in_background)
    leaving.terminate()
    assert leaving.wait(15) == 0
    assert status() == "running"
    assert 10 < copied() < ROWS
    assert leases.holders(the_run().pk) == []
    assert [job.func_name for job in in_background.jobs()] == [service.JOB]
    in_background.worker(slice_seconds=WHOLE_SLICE)
    assert_goes_on_to_the_end(in_background)


def test_a_job_that_does_not_listen_is_waited_for_when_its_worker_is_told_to_end(
    writing: AnyMigration, in_background: Background, tmp_path: Path
) -> None:
    begun, may_end, ended = (tmp_path / name for name in ("begun", "may_end", "ended"))
    worker = in_background.worker()
    queue.ring("tests.engine.patient_job.wait", *map(str, (begun, may_end, ended)), job_id="patient")
    in_background.eventually(begun.exists)
    worker.terminate()
    (horse,) = in_background.horses(worker)
    horse.send_signal(signal.SIGTERM)  # as a supervisor does that sends it to all processes of a service
    may_end.touch()
    assert worker.wait(15) == 0
    assert ended.exists()


def test_a_worker_that_was_stopped_beyond_its_lease_commits_nothing_when_it_wakes_up(
    writing: AnyMigration, in_background: Background
) -> None:
    """SIGSTOP in the middle of a batch, longer than the lease; another worker goes on meanwhile."""
    backfill("start", "--queue", *SLOW)
    sleeper = in_background.worker(slice_seconds=WHOLE_SLICE)
    in_background.eventually(lambda: copied() > 10)
    blocker = second_connection()
    blocker.execute("LOCK TABLE modern_notes IN EXCLUSIVE MODE")
    (horse,) = in_background.eventually(lambda: in_background.horses(sleeper))
    in_background.eventually(lambda: waiting_for_a_lock(horse.pid))
    horse.suspend()
    sleeper.send_signal(signal.SIGSTOP)
    blocker.rollback()
    blocker.close()
    in_background.worker()
    in_background.scheduler()
    assert_goes_on_to_the_end(in_background)
    before = schema.modern_rows()
    sleeper.send_signal(signal.SIGCONT)
    horse.resume()
    in_background.eventually(lambda: not in_background.horses(sleeper))
    assert schema.modern_rows() == before
    assert_goes_on_to_the_end(in_background)


def test_in_the_foreground_a_run_that_waits_is_taken_over_and_workers_leave_it_alone(
    writing: AnyMigration, in_background: Background
) -> None:
    queued = backfill("start", "--queue")[1]["run"]
    code, said, error = backfill("resume")
    assert (code, said["run"], said["status"]) == (0, queued, "succeeded"), error
    in_background.worker()
    in_background.eventually(lambda: "Job OK" in in_background.said())
    assert command("scheduler", "--once")[1]["woken"] == {}
    assert_goes_on_to_the_end(in_background)


def test_in_the_foreground_a_run_that_workers_are_at_is_refused_with_who_that_is(
    writing: AnyMigration, in_background: Background
) -> None:
    in_background.worker(slice_seconds=WHOLE_SLICE)
    start(in_background)
    code, said, _ = backfill()
    assert code == 4
    assert "still at it" in said["error"]
    backfill("cancel")


def test_a_worker_outlives_a_redis_that_is_away_in_the_middle_of_a_run(
    writing: AnyMigration, in_background: Background
) -> None:
    worker = in_background.worker(slice_seconds=0.5)
    scheduler = in_background.scheduler()
    start(in_background)
    in_background.redis.stop()
    in_background.eventually(lambda: "Run" in in_background.said() and "does not answer" in in_background.said())
    in_background.eventually(lambda: "begins anew" in in_background.said() or "retrying in" in in_background.said())
    in_background.redis.ensure()
    assert_goes_on_to_the_end(in_background)
    assert (worker.poll(), scheduler.poll()) == (None, None)


def test_what_only_a_person_can_mend_fails_the_run_with_a_sentence_and_nobody_tries_again(
    writing: AnyMigration, in_background: Background
) -> None:
    run("ALTER TABLE modern_notes RENAME TO elsewhere")
    in_background.worker()
    in_background.scheduler()
    backfill("start", "--queue")
    in_background.eventually(lambda: status() == "failed")
    run("ALTER TABLE elsewhere RENAME TO modern_notes")
    assert "modern_notes" in the_run().error
    assert command("scheduler", "--once")[1]["woken"] == {}
    assert backfill("resume", "--queue")[0] == 0
    assert_goes_on_to_the_end(in_background)


def test_a_run_whose_workers_die_again_and_again_without_a_batch_fails_and_says_so(
    writing: AnyMigration, in_background: Background
) -> None:
    backfill("start", "--queue")
    Run.objects.update(attempts=service.MOST_DEATHS + 1)
    code, said = command("scheduler", "--once")
    assert code == 1
    assert "died before they got anywhere" in said["problems"][0]
    failed = the_run()
    assert (failed.status, failed.requested) == ("failed", "")
    assert "died before they got anywhere" in failed.error
    assert HistoryEntry.objects.filter(verb="backfill failed").count() == 1
    in_background.worker()
    backfill("resume", "--queue")
    assert_goes_on_to_the_end(in_background)


def test_a_slice_counts_as_dead_until_it_ended_or_read_a_row(writing: AnyMigration, in_background: Background) -> None:
    backfill("start", "--queue")
    dying = in_background.worker("queue.joined")
    scheduler = in_background.scheduler()
    in_background.eventually(lambda: the_run().attempts > 2)
    kill(dying)
    kill(scheduler)
    in_background.worker()
    in_background.scheduler()
    assert_goes_on_to_the_end(in_background)
    assert the_run().attempts == 0


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def waiting_for_a_lock(pid: int) -> Any:
    owner = RunRange.objects.filter(lease_owner__endswith=f":{pid}").values_list("lease_backend", flat=True).first()
    return owner and run("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %s", owner)
