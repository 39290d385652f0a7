"""The scheduler: everything once, however many there are, and whatever is away."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module

import pytest

from habits.apps import HabitsConfig
from migration_ops import schedule, scheduler
from migration_ops.definition import AnyMigration
from migration_ops.models import Periodic, Run
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.schedule import Periodically
from tests.engine.backfilling import backfill, fill
from tests.engine.background import Background
from tests.engine.syncing import begin_dual_write, command, rows, run, second_connection
from tests.engine.waiting import InThread

TIDY = Periodically(name="tidy", every=timedelta(hours=1), job="tests.engine.patient_job.tidy")


@pytest.fixture
def tidy() -> Iterator[None]:
    """An app's own job is declared, and nothing else."""
    others = schedule.declared()
    for other in others:
        schedule.withdraw(other.name)
    schedule.declare(TIDY)
    yield
    schedule.withdraw(TIDY.name)
    for other in others:
        schedule.declare(other)


def waiting(background: Background) -> list[str]:
    return [job.func_name for job in background.jobs()]


def make_due() -> None:
    run("UPDATE migration_ops_periodic SET due_at = clock_timestamp()")


def test_what_is_due_is_put_into_the_queue_once_and_not_again_before_its_time(
    in_background: Background, tidy: None
) -> None:
    assert scheduler.tick().queued == ["tidy"]
    assert scheduler.tick().queued == []
    assert waiting(in_background) == [TIDY.job]
    ((hours,),) = rows("SELECT extract(epoch FROM due_at - taken_at) / 3600 FROM migration_ops_periodic")
    assert hours == pytest.approx(1, abs=0.01)


def test_of_many_schedulers_at_once_one_does_it(in_background: Background, tidy: None) -> None:
    scheduler.tick()
    in_background.client().flushall()
    make_due()
    ticks = [InThread(scheduler.tick) for _ in range(12)]
    done = [each.outcome().queued for each in ticks]
    assert sorted(done, key=len) == [[]] * 11 + [["tidy"]]
    assert waiting(in_background) == [TIDY.job]


def test_what_waits_already_is_not_put_there_a_second_time(in_background: Background, tidy: None) -> None:
    for _ in range(3):
        scheduler.tick()
        make_due()
    assert waiting(in_background) == [TIDY.job]


def test_a_redis_that_is_full_is_told_from_one_that_is_away_and_gets_it_later(
    in_background: Background, tidy: None
) -> None:
    in_background.client().config_set("maxmemory", 1)
    code, said = command("scheduler", "--once")
    in_background.client().config_set("maxmemory", 0)
    assert (code, said["queued"], waiting(in_background)) == (1, [], [])
    assert said["problems"][0].startswith("tidy: Redis takes no wake-up: ")
    assert said["problems"][0].endswith("'maxmemory'.")
    make_due()
    assert scheduler.tick().queued == ["tidy"]


def test_what_redis_did_not_take_stays_due(in_background: Background, tidy: None) -> None:
    in_background.redis.stop()
    code, said = command("scheduler", "--once")
    assert (code, said["queued"]) == (1, [])
    assert "tidy: Redis does not answer" in said["problems"][0]
    assert "Redis does not answer" in Periodic.objects.get().error
    in_background.redis.ensure()
    make_due()  # in ten seconds, otherwise
    assert scheduler.tick().queued == ["tidy"]
    assert Periodic.objects.get().error == ""


def begin_both(background: Background, notes: AnyMigration) -> dict[str, int]:
    """A backfill and a validation are with the workers, whose wake-ups are lost; their numbers by kind."""
    fill(3)
    begin_dual_write(notes)
    assert backfill("start", "--queue")[0] == 0
    assert command("validate_migration", "--queue")[0] == 0
    background.client().flushall()
    return {each.kind: each.pk for each in Run.objects.all()}


def test_a_run_that_cannot_be_seen_after_keeps_no_other_from_going_on(
    in_background: Background, notes: AnyMigration, tidy: None
) -> None:
    runs = begin_both(in_background, notes)
    run("UPDATE migration_ops_run SET options = options || '{\"workers\": \"many\"}' WHERE kind = 'backfill'")
    done = scheduler.tick()
    assert done.woken == {runs["validation"]: 1}
    assert [said.partition(":")[0] for said in done.problems] == [f"Run {runs['backfill']}"]
    assert done.queued == ["tidy"]


def test_a_run_that_somebody_holds_keeps_no_other_from_going_on(
    in_background: Background, notes: AnyMigration, tidy: None
) -> None:
    runs = begin_both(in_background, notes)

    def with_a_bound() -> scheduler.Tick:
        run("SET lock_timeout = '50ms'")  # as a role or a database may have it
        return scheduler.tick()

    with second_connection() as somebody:
        somebody.execute("SELECT FROM migration_ops_run WHERE kind = 'backfill' FOR UPDATE")
        done = InThread(with_a_bound).outcome()
    assert done.woken == {runs["validation"]: 1}
    assert [said.partition(":")[0] for said in done.problems] == [f"Run {runs['backfill']}"]
    assert done.queued == ["tidy"]


def test_it_says_that_it_is_alive(in_background: Background, notes: AnyMigration) -> None:
    assert heartbeat.age(notes, Role.SCHEDULER) is None
    in_background.scheduler()
    in_background.eventually(lambda: heartbeat.age(notes, Role.SCHEDULER) is not None)


def test_it_outlives_a_database_that_throws_it_out_and_ends_when_it_is_told_to(
    in_background: Background, notes: AnyMigration
) -> None:
    process = in_background.scheduler()
    in_background.eventually(lambda: heartbeat.age(notes, Role.SCHEDULER) is not None)
    thrown_out = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    in_background.eventually(lambda: rows(thrown_out) and "could not look" in in_background.said())
    in_background.eventually(lambda: "All is well again" in in_background.said())
    assert (heartbeat.age(notes, Role.SCHEDULER) or 99) < 5
    process.terminate()
    assert process.wait(15) == 128 + signal.SIGTERM


def test_two_different_things_cannot_have_one_name(tidy: None) -> None:
    schedule.declare(TIDY)
    with pytest.raises(ValueError, match="tidy"):
        schedule.declare(Periodically(name="tidy", every=timedelta(hours=2), job=TIDY.job))


@pytest.mark.parametrize("name", ["purge_idempotency", "weekly_reports"])
def test_the_jobs_of_families_are_declared_and_do_their_work(transactional_db: None, name: str) -> None:
    (found,) = [each for each in schedule.declared() if each.name == name]
    module, _, function = found.job.rpartition(".")
    getattr(import_module(module), function)()
    assert HabitsConfig.name in module
