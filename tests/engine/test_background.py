"""A backfill in the background: whatever dies, it goes on by itself, and ends as it would have in the foreground."""

from __future__ import annotations

import json
import signal
import zlib
from typing import Any

import pytest

from migration_ops.backfill import background as service
from migration_ops.backfill import batch, finish, slices
from migration_ops.definition import AnyMigration
from migration_ops.models import HistoryEntry, Run, RunRange
from tests.engine.backfilling import backfill, fill
from tests.engine.background import PATIENCE, Background
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, command
from tests.notes import schema

QUICK = ("--batch-size", "5")


@pytest.fixture
def writing(notes: AnyMigration) -> AnyMigration:
    """The tiny domain at stage `dual_write`, with 600 notes from before that, two of them for the quarantine."""
    fill(598)
    schema.add_rows(("home", "bread", None), (None, "lost", "no notebook"))
    begin_dual_write(notes)
    return notes


def finished() -> Run | None:
    return Run.objects.filter(status="succeeded").first()


def assert_whole(run: Run) -> None:
    """Everything was copied, counted once, and the run's end is in the history once."""
    assert_in_step()
    read = sum(run.result[name] for name in ("notes_written", "notes_unchanged", "notes_merged", "rows_quarantined"))
    assert run.result["rows_read"] == read == 600
    assert not RunRange.objects.exclude(lease_until=None).exists()
    assert HistoryEntry.objects.filter(verb="backfill succeeded", evidence__run=run.pk).count() == 1


def test_it_is_started_and_left_alone_and_workers_finish_it(writing: AnyMigration, in_background: Background) -> None:
    in_background.worker()
    in_background.scheduler()

    code, said, _ = backfill("start", "--queue", *QUICK)

    assert (code, said["status"], said["queued"]) == (0, "running", True)
    run = in_background.eventually(finished)
    assert run.pk == said["run"]
    assert_whole(run)
    assert 0 < run.result["seconds"] < PATIENCE


def test_a_wake_up_carries_the_id_of_the_run_and_nothing_else(writing: AnyMigration, in_background: Background) -> None:
    said = backfill("start", "--queue", *QUICK)[1]
    (job,) = in_background.jobs()
    assert (job.func_name, job.args, job.kwargs) == (service.JOB, [said["run"]], {})
    data = in_background.client().hget(f"rq:job:{job.id}", "data")
    assert json.loads(zlib.decompress(data)) == [service.JOB, None, [said["run"]], {}]


def test_started_again_and_again_it_is_one_run_and_one_wake_up(
    writing: AnyMigration, in_background: Background
) -> None:
    ends = [backfill("start", "--queue", *QUICK) for _ in range(3)]
    for _ in range(2):
        assert command("scheduler", "--once")[0] == 0
    assert [code for code, _, _ in ends] == [0, 0, 0]
    assert len({said["run"] for _, said, _ in ends}) == Run.objects.count() == 1
    assert len([job for job in in_background.jobs() if job.func_name == service.JOB]) == 1


def test_a_doubled_wake_up_finds_nothing_to_do(writing: AnyMigration, in_background: Background) -> None:
    run = backfill("start", "--queue", *QUICK)[1]["run"]
    (job,) = in_background.jobs()
    in_background.client().rpush("rq:queue:default", job.id, job.id)
    in_background.worker()
    in_background.worker()
    in_background.scheduler()
    assert_whole(in_background.eventually(finished))
    assert Run.objects.get().pk == run


KILLED_AT = (
    slices.JOINED,
    f"{batch.BEGUN}:3",
    f"{batch.SAVED}:2",
    f"{batch.ADVANCED}:4",
    f"{batch.COMMITTED}:5",
    finish.DRAINED,
    slices.ENDED,
    slices.PASSED_ON,
)


@pytest.mark.parametrize("failpoint", KILLED_AT)
def test_a_worker_that_is_killed_is_replaced(writing: AnyMigration, in_background: Background, failpoint: str) -> None:
    backfill("start", "--queue", *QUICK)
    dying = in_background.worker(failpoint)
    in_background.eventually(lambda: f"(signal {signal.SIGKILL})" in in_background.said())
    dying.kill()
    in_background.worker()
    in_background.scheduler()
    assert_whole(in_background.eventually(finished))


def test_a_run_whose_starter_died_before_it_could_wake_anybody_is_found(
    writing: AnyMigration, in_background: Background
) -> None:
    starter = in_background.start("backfill", "start", "--queue", *QUICK, failpoint=service.HANDED_OVER)
    assert starter.wait(60) == -signal.SIGKILL
    assert in_background.jobs() == []
    in_background.worker()
    in_background.scheduler()
    assert_whole(in_background.eventually(finished))


def test_with_redis_away_the_run_is_opened_and_begins_when_it_is_back(
    writing: AnyMigration, in_background: Background
) -> None:
    in_background.scheduler()
    in_background.redis.stop()

    code, said, _ = backfill("start", "--queue", *QUICK)

    assert (code, said["status"]) == (0, "running")
    assert "Redis does not answer" in said["problem"]
    in_background.eventually(lambda: "Redis does not answer" in in_background.said())
    in_background.redis.ensure()
    in_background.worker()
    assert_whole(in_background.eventually(finished))


def test_it_survives_a_redis_that_is_flushed_and_one_that_is_restarted_empty(
    writing: AnyMigration, in_background: Background
) -> None:
    fill_more(2_400)
    in_background.worker()
    in_background.scheduler()
    backfill("start", "--queue", *QUICK)
    for lose in (in_background.client().flushall, lambda: restart_empty(in_background)):
        before = len(schema.modern_rows())
        in_background.eventually(lambda: len(schema.modern_rows()) > before + 50)  # noqa: B023 - called now
        lose()
    assert_in_step_after(in_background)


def test_without_a_worker_or_a_scheduler_the_command_says_which_to_start(
    writing: AnyMigration, in_background: Background
) -> None:
    said = backfill("start", "--queue")[1]
    assert "rqworker default" in said["problem"]
    assert "manage.py scheduler" in said["problem"]


def fill_more(count: int) -> None:
    schema.add_rows(*(("more", f"m{number:05}", "line") for number in range(count)))


def restart_empty(background: Background) -> None:
    background.redis.stop()
    for kept in background.redis.home.glob("append*"):
        background.eventually(lambda: remove(kept))  # noqa: B023 - called now
    background.redis.ensure()


def remove(path: Any) -> bool:
    if path.is_dir():
        for each in path.iterdir():
            each.unlink()
        path.rmdir()
    else:
        path.unlink()
    return True


def assert_in_step_after(background: Background) -> Run:
    run: Run = background.eventually(finished)
    assert_in_step()
    return run
