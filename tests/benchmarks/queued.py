"""A backfill by workers of the queue: what more of them are worth, and what families notice of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import psutil

from habits.migration import boards
from migration_ops import runs
from migration_ops.backfill.report import counters_of
from migration_ops.models import RunKind, RunStatus
from tests.benchmarks import measure
from tests.benchmarks.measure import Benchmark
from tests.database import database_url
from tests.engine.background import Background

WORKERS = (1, 2, 4)

LONGEST = 600.0
"""Seconds that a backfill may take here."""

WRITES = 50
"""Families' writes a second; one request in five reads."""

TRAFFIC = ("--rate", str(WRITES / 0.8), "--write-percent", "80", "--seconds", "15", "--owners", "200", "--json")

ROUNDS = 3
"""So often the traffic is measured without and with the backfill, in turn: one measurement says little where neighbours
share the machine."""

DEATHS = 3

REVIVED = 45.0
"""Seconds after which somebody must have gone on where a worker died."""

DEARER = 2.0
"""So many times as long may a family's write take while a backfill runs."""


def queued(rows: int) -> Iterator[Benchmark]:
    """Rows a second by 1, 2 and 4 workers; and the writes of families before and during a queued backfill."""
    measure.seed(rows)
    alone = 0.0
    for count in WORKERS:
        measure.empty_modern()
        with _background(count) as background:
            begun = time.perf_counter()
            _start(background, count)
            background.eventually(_has_ended, LONGEST)
            speed = rows / (time.perf_counter() - begun)
        alone = alone or speed
        yield Benchmark(f"queued_by_{count}", speed, "legacy rows/s", alone)
    measure.seed(15 * rows)  # so much that the backfill outlasts the traffic
    measure.empty_modern()
    quiet, during = [], []
    with _background(1) as background:
        for _ in range(ROUNDS):
            quiet.append(_traffic()["write_p95_ms"])
            _start(background, 1)
            during.append(_traffic()["write_p95_ms"])
            if _has_ended():
                raise RuntimeError("The backfill ended before the traffic did; ask for more --rows.")
            _backfill(background, "pause")
            background.eventually(_is_paused)
    yield Benchmark("queued_writes_p95", median(during), "ms", median(quiet), target=DEARER, more_is_better=False)
    measure.empty_modern()
    with _background(0) as background:
        workers = [_worker(background) for _ in range(2)]
        _start(background, 1)
        seconds = max(_revival(background, workers) for _ in range(DEATHS))
    yield Benchmark("queued_revival", seconds, "s", REVIVED, target=1, more_is_better=False)


@contextmanager
def _background(workers: int) -> Iterator[Background]:
    """So many workers of the queue and a scheduler, with a Redis of their own and the site's settings."""
    background = Background()
    try:
        for command in (("scheduler",), ("sync_changes", "--follow")):
            background.run("manage.py", *command, DJANGO_SETTINGS_MODULE="config.settings")
        for _ in range(workers):
            _worker(background)
        background.eventually(lambda: len(background.client().smembers("rq:workers")) == workers)
        yield background
    finally:
        background.end()


def _worker(background: Background) -> subprocess.Popen[bytes]:
    return background.run("manage.py", "rqworker", "default", DJANGO_SETTINGS_MODULE="config.settings")


def _start(background: Background, workers: int) -> None:
    _backfill(background, "start", "--queue", "--workers", str(workers))


def _backfill(background: Background, *arguments: str) -> None:
    if background.run("manage.py", "backfill", *arguments, DJANGO_SETTINGS_MODULE="config.settings").wait(60):
        raise RuntimeError(f"The backfill could not {arguments[0]}: {background.said()[-2000:]}")


def _revival(background: Background, workers: list[subprocess.Popen[bytes]]) -> float:
    """Seconds from the death of the worker that is at the run, and of the process of its job, to the next batch."""

    def at_it() -> list[tuple[subprocess.Popen[bytes], psutil.Process]]:
        return [(worker, horse) for worker in workers for horse in background.horses(worker)]

    before = _rows_read()
    ((worker, horse),) = background.eventually(lambda: _rows_read() > before and at_it())
    worker.kill()
    horse.kill()
    begun, before = time.perf_counter(), _rows_read()
    workers.remove(worker)
    workers.append(_worker(background))
    background.eventually(lambda: _rows_read() > before)
    return time.perf_counter() - begun


def _rows_read() -> int:
    run = runs.latest(boards, RunKind.BACKFILL)
    return 0 if run is None else counters_of(run).rows_read


def _is_paused() -> bool:
    run = runs.latest(boards, RunKind.BACKFILL)
    return run is not None and run.status == RunStatus.PAUSED


def _has_ended() -> bool:
    """
    Raises:
        RuntimeError: otherwise than well.
    """
    run = runs.latest(boards, RunKind.BACKFILL)
    if run is None or run.status == RunStatus.RUNNING:
        return False
    if run.status != RunStatus.SUCCEEDED:
        raise RuntimeError(f"The backfill is {run.status}: {run.error}")
    return True


def _traffic() -> dict[str, Any]:
    """What `simulate_traffic` says, which has proven that nothing is lost.

    Raises:
        RuntimeError: a request failed, could not be sent, or something is lost.
    """
    ended = subprocess.run(
        [sys.executable, "manage.py", "simulate_traffic", *TRAFFIC],
        env={**os.environ, "DATABASE_URL": database_url()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    said: dict[str, Any] = json.loads(ended.stdout)
    if ended.returncode or said["failures"] or said["unsent"]:
        raise RuntimeError(f"Families noticed something: {said}")
    return said
