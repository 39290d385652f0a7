"""Everything dies at random while a backfill in the background goes on: it finishes by itself, and nothing is lost."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from migration_ops.definition import AnyMigration
from migration_ops.models import DirtyKey, HistoryEntry, Run, RunRange
from tests.engine.backfilling import backfill, fill
from tests.engine.background import Background
from tests.engine.chaos import Writer
from tests.engine.invariants import assert_in_step
from tests.engine.own_server import OwnServer
from tests.engine.syncing import begin_dual_write, command, rows

SLOW = ("--batch-size", "3")


@pytest.fixture
def writing(notes: AnyMigration) -> AnyMigration:
    """The tiny domain at stage `dual_write`, and empty."""
    begin_dual_write(notes)
    return notes


class Killing:
    """Two workers, each started again when it ended, as a supervisor does; and what can be done to them."""

    def __init__(self, background: Background, chance: random.Random) -> None:
        self.background = background
        self.chance = chance
        self.workers = [background.worker(), background.worker()]
        self.done: list[str] = []

    def strike(self) -> None:
        """Kill a work horse, its worker, or both, in the middle of a job, with SIGKILL; then the supervisor does its
        work. Nobody is struck where the run has ended."""
        self.background.eventually(lambda: self._busy() or finished())
        busy = self._busy()
        if not busy:
            return
        worker, horse = self.chance.choice(busy)
        what = self.chance.choice(("horse", "worker", "both"))
        if what != "horse":
            worker.kill()
            worker.wait()
        if what != "worker":
            with suppress(psutil.NoSuchProcess):
                horse.kill()
        self.done.append(what)
        self.supervise()

    def _busy(self) -> list[tuple[subprocess.Popen[bytes], psutil.Process]]:
        return [(worker, horse) for worker in self.workers for horse in self.background.horses(worker)]

    def supervise(self) -> None:
        for number, worker in enumerate(self.workers):
            if worker.poll() is not None:
                self.workers[number] = self.background.worker()


def rows_read() -> int:
    ((read,),) = rows("SELECT coalesce(sum((counters->>'rows_read')::int), 0) FROM migration_ops_runrange")
    return int(read)


def chaos(background: Background, *, kills: int, seed: int) -> None:
    """Strike so many times in one run, each time when it got a little further or a moment passed, and let it finish."""
    chance = random.Random(seed)
    fill(kills * 100)
    background.scheduler()
    killing = Killing(background, chance)
    writer = Writer(chance)
    assert backfill("start", "--queue", *SLOW, "--workers", "2")[0] == 0
    while len(killing.done) < kills:
        further = rows_read() + chance.randrange(12)
        background.eventually(lambda: rows_read() >= further or finished())  # noqa: B023 - called now
        assert not finished(), f"It was too fast: {len(killing.done)} of {kills}."
        writer.write()
        killing.strike()
        if len(killing.done) % 5 == 0:
            background.client().flushall()
    background.eventually(finished)
    assert_nothing_lost()
    assert {"horse", "worker", "both"} <= set(killing.done)


def finished() -> bool:
    return Run.objects.get().status == "succeeded"


def assert_nothing_lost() -> None:
    """The invariants, once things are quiet."""
    assert command("sync_changes")[0] == 0
    assert not DirtyKey.objects.exists()
    assert_in_step()
    run = Run.objects.get()
    said = run.result
    assert said["rows_read"] == sum(
        said[name] for name in ("notes_written", "notes_unchanged", "notes_merged", "rows_quarantined")
    )
    assert not RunRange.objects.exclude(lease_until=None).exists()
    assert HistoryEntry.objects.filter(verb="backfill succeeded").count() == 1
    assert command("verify_history")[1]["ok"]


def test_a_few_kills_at_random(writing: AnyMigration, in_background: Background) -> None:
    chaos(in_background, kills=8, seed=11)


@pytest.mark.chaos
@pytest.mark.timeout(1_800)
def test_fifty_kills_at_random_in_one_run(writing: AnyMigration, in_background: Background) -> None:
    chaos(in_background, kills=50, seed=50)


def crash_the_server(server: OwnServer, *, crashes: int) -> None:
    """A backfill in the background and writes past the app, while PostgreSQL is killed and started again."""
    background = server.background
    server.prepare(rows=1_000 * crashes)
    worker, scheduler = background.worker(slice_seconds=5), background.scheduler()
    applier = background.start("sync_changes", "--follow")
    assert server.manage("backfill", "start", "--queue", *SLOW) == 0
    with server.writing() as writer:
        for _ in range(crashes):
            before = server.rows_read()
            assert server.run_status() == "running", "It was too fast."
            background.eventually(lambda: server.rows_read() > before + 15)  # noqa: B023 - called now
            server.crash()
            server.start()
        background.eventually(lambda: server.run_status() == "succeeded")
    assert writer.acknowledged > crashes
    assert (worker.poll(), scheduler.poll()) == (None, None)
    applier.send_signal(signal.SIGTERM)
    applier.wait(30)
    assert server.manage("sync_changes") == 0
    server.assert_in_step()


def test_postgresql_killed_and_started_again_in_the_middle(own_server: Callable[[], OwnServer]) -> None:
    crash_the_server(own_server(), crashes=1)


@pytest.mark.chaos
@pytest.mark.timeout(1_800)
def test_postgresql_killed_and_started_again_three_times(own_server: Callable[[], OwnServer]) -> None:
    crash_the_server(own_server(), crashes=3)
