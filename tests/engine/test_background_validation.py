"""A full validation in the background finds what it would have found in the foreground, whatever dies."""

from __future__ import annotations

import signal

import pytest

from migration_ops import run_requests
from migration_ops.definition import AnyMigration
from migration_ops.models import Difference, Run, RunKind
from migration_ops.verify import background as service
from migration_ops.verify import recheck, sweep
from tests.engine.background import Background
from tests.engine.syncing import command, run
from tests.engine.validating import validate_json

ONE_CHUNK = 0.01
"""Seconds of a slice that is over after one chunk."""


@pytest.fixture
def differing(notes: AnyMigration) -> AnyMigration:
    """2,500 notes in both stores: two differ, one is missing in modern, one in legacy."""
    numbers = "FROM generate_series(0, 2499) AS n"
    run(f"INSERT INTO legacy_notes (notebook, title, body) SELECT 'home', to_char(n, 'FM0000'), 'x' {numbers}")
    run(f"INSERT INTO modern_notes (notebook, title, lines) SELECT 'home', to_char(n, 'FM0000'), '{{x}}' {numbers}")
    run("UPDATE modern_notes SET lines = '{other}' WHERE title IN ('0000', '2499')")
    run("DELETE FROM modern_notes WHERE title = '1200'")
    run("INSERT INTO modern_notes (notebook, title, lines) VALUES ('zzz', 'last', '{}')")
    return notes


def start() -> int:
    code, said = validate_json("--queue")
    assert (code, said["status"], said["queued"]) == (0, "running", True)
    return int(said["run"])


def assert_found_everything(background: Background) -> Run:
    background.eventually(lambda: Run.objects.get().ended_at is not None)
    done = Run.objects.get()
    found = done.result
    assert (done.status, found["complete"], found["legacy_rows"]) == ("succeeded", True, 2_500)
    assert (found["matched"], found["mismatched"]) == (2_497, 2)
    assert (found["missing_in_modern"], found["missing_in_legacy"]) == (1, 1)
    assert Difference.objects.count() == 4
    assert not done.ranges.exclude(lease_until=None).exists()
    return done


def test_it_is_started_and_left_alone_and_workers_finish_it_slice_by_slice(
    differing: AnyMigration, in_background: Background
) -> None:
    in_background.worker(slice_seconds=ONE_CHUNK)
    in_background.scheduler()
    started = start()
    done = assert_found_everything(in_background)
    assert done.pk == started
    assert done.woken > 3


def test_started_again_and_again_it_is_one_run_and_one_wake_up(
    differing: AnyMigration, in_background: Background
) -> None:
    assert len({start() for _ in range(3)}) == 1
    assert command("scheduler", "--once")[0] == 0
    (job,) = [job for job in in_background.jobs() if "validation" in job.id]
    assert job.args == [Run.objects.get().pk]


@pytest.mark.parametrize(
    "failpoint", [service.JOINED, sweep.CHUNK_COMPARED, f"{sweep.CHUNK_NOTED}:2", recheck.SUSPECTS_SETTLED]
)
def test_a_worker_that_is_killed_is_replaced(
    differing: AnyMigration, in_background: Background, failpoint: str
) -> None:
    start()
    dying = in_background.worker(failpoint)
    in_background.eventually(lambda: f"(signal {signal.SIGKILL})" in in_background.said())
    dying.kill()
    in_background.worker()
    in_background.scheduler()
    assert_found_everything(in_background)


@pytest.mark.parametrize(("what", "becomes"), [(run_requests.PAUSE, "paused"), (run_requests.CANCEL, "cancelled")])
def test_it_is_paused_or_cancelled_also_where_nobody_works_on_it(
    differing: AnyMigration, in_background: Background, what: str, becomes: str
) -> None:
    start()
    assert run_requests.ask(differing, RunKind.VALIDATION, what, actor="ann").status == becomes
    assert command("scheduler", "--once")[1]["woken"] == {}
    in_background.worker()
    in_background.eventually(lambda: "Job OK" in in_background.said())
    assert (Run.objects.get().status, Run.objects.get().result) == (becomes, {})
    if what == run_requests.PAUSE:
        start()
        assert_found_everything(in_background)


def test_in_the_foreground_a_validation_that_waits_is_taken_over(
    differing: AnyMigration, in_background: Background
) -> None:
    started = start()
    code, said = validate_json()
    assert (code, said["run"], said["legacy_rows"]) == (5, started, 2_500)
    assert Run.objects.get(kind=RunKind.VALIDATION).queued is False


@pytest.mark.parametrize("option", [("--sample", "5"), ("--repair",), ("--report", "x.json")])
def test_what_only_the_foreground_can_do_is_refused(notes: AnyMigration, option: tuple[str, ...]) -> None:
    code, said = validate_json("--queue", *option)
    assert code == 2
    assert option[0] in said["error"]
    assert not Run.objects.exists()
