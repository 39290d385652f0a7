"""What a decision of the router costs a request, and how soon the last process sees a kill under traffic."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

from habits.migration import boards
from migration_ops.models import MigrationState
from migration_ops.rollout import routing, self_test
from tests.benchmarks import measure
from tests.benchmarks.measure import Benchmark
from tests.database import database_url

DECISIONS = 5_000

BUDGET = 0.2
"""Milliseconds that a decision may take in the middle."""

PROCESSES = 8
ROUNDS = 5

TRAFFIC = ("--rate", "30", "--seconds", "600", "--owners", "20", "--concurrency", "4", "--keep", "--json")


def router() -> Iterator[Benchmark]:
    """Decisions about units of all sorts at `ramp`, each with its look at the database, against their budget."""
    MigrationState.objects.filter(name=boards.name).update(stage="shadow", version=2)
    MigrationState.objects.filter(name=boards.name).update(stage="ramp", percent=Decimal(50), version=3)
    taken = []
    for unit in [str(uuid4()) for _ in range(DECISIONS)]:
        begun = time.perf_counter()
        routing.of_unit(boards, unit)
        taken.append(time.perf_counter() - begun)
    MigrationState.objects.filter(name=boards.name).update(stage="dual_write", percent=0, version=4)
    yield Benchmark("router", statistics.median(taken) * 1000, "ms", BUDGET, target=1, more_is_better=False)


def rollback() -> Iterator[Benchmark]:
    """The slowest of several kills to be seen by the last of several processes, under traffic, against a second."""
    measure.seed(2_000)
    environment = {**os.environ, "DATABASE_URL": database_url()}
    os.environ["DATABASE_URL"] = database_url()  # of the processes that watch
    traffic = subprocess.Popen(
        [sys.executable, "manage.py", "simulate_traffic", *TRAFFIC],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        slowest = max(self_test.run(boards, processes=PROCESSES).last for _ in range(ROUNDS))
        if traffic.poll() is not None:
            raise RuntimeError("The traffic ended before the measurement did.")
    finally:
        traffic.kill()
        traffic.wait()
    yield Benchmark("rollback", slowest, "ms", self_test.LIMIT * 1000, target=1, more_is_better=False)
