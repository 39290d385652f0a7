"""What a second write costs a family, and what capture costs whoever writes legacy rows past the app."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
from django.db import connection

from habits import family
from habits.board import BoardKey
from habits.family import Cell
from habits.migration import boards
from migration_ops.rollout import reading
from tests.benchmarks import measure
from tests.benchmarks.measure import Benchmark
from tests.database import database_url

ROWS = 2_000
WRITERS = 4
ROUNDS = 20
"""Each is some writes with what is measured and as many without, so that both have the same weather."""

WRITES = 30
"""In a round, for each writer."""

STATUSES = ("green", "yellow", "red")


def dual_write() -> Iterator[Benchmark]:
    """A mark set by the service at stage `dual_write`, against the same at `off`; by one writer and by several."""
    measure.seed(ROWS)
    measure.empty_modern()
    measure.command("backfill")
    keys = _keys()
    for name, writers in (("dual_write", 1), (f"dual_write_by_{WRITERS}_writers", WRITERS)):
        with ThreadPoolExecutor(writers) as pool:

            def write(stage: str, pool: ThreadPoolExecutor = pool, writers: int = writers) -> list[float]:
                _go_to(stage)
                chosen = random.sample(keys, WRITES * writers)
                shares = [chosen[number::writers] for number in range(writers)]
                return [seconds for share in pool.map(_set_marks, shares) for seconds in share]

            both, single = _in_turn(lambda: write("dual_write"), lambda: write("off"))
        _go_to("dual_write")
        yield Benchmark(name, both, "ms", single, target=2, more_is_better=False)


def capture() -> Iterator[Benchmark]:
    """A legacy row updated by plain SQL with capture on, against the same with its triggers switched off."""
    measure.seed(ROWS)
    with psycopg.connect(database_url(), autocommit=True) as own:
        ids = [number for (number,) in own.execute("SELECT id FROM habit_tracker").fetchall()]
        triggers = [
            name
            for (name,) in own.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = 'habit_tracker'::regclass AND tgname LIKE 'capture%'"
            ).fetchall()
        ]

        def update(switch: str) -> list[float]:
            for trigger in triggers:
                own.execute(f"ALTER TABLE habit_tracker {switch} TRIGGER {trigger}")
            return [_timed(lambda number=number: own.execute(_UPDATE, [number])) for number in random.sample(ids, 100)]

        on, off = _in_turn(lambda: update("ENABLE ALWAYS"), lambda: update("DISABLE"))
        update("ENABLE ALWAYS")
        own.execute("DELETE FROM migration_ops_dirtykey")
    yield Benchmark("capture", on, "ms", off, target=1.2, more_is_better=False)


_UPDATE = """
UPDATE habit_tracker SET habits = jsonb_set(habits, '{0,times,0}', to_jsonb(
           CASE habits #>> '{0,times,0}' WHEN 'green' THEN 'red' ELSE 'green' END)) WHERE id = %s
"""


def _in_turn(measured: Callable[[], list[float]], baseline: Callable[[], list[float]]) -> tuple[float, float]:
    """The medians of both in milliseconds; they take turns, and turns at being first. The first round warms up."""
    times: dict[Callable[[], list[float]], list[float]] = {measured: [], baseline: []}
    for number in range(ROUNDS + 1):
        for job in (measured, baseline) if number % 2 else (baseline, measured):
            taken = job()
            if number:
                times[job] += taken
    return statistics.median(times[measured]) * 1000, statistics.median(times[baseline]) * 1000


def _keys() -> list[BoardKey]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT user_id::text FROM habit_tracker")
        owners = [owner for (owner,) in cursor.fetchall()]
    return [key for owner in owners for key in sorted(reading.keys(boards, owner))]


def _set_marks(keys: list[BoardKey]) -> list[float]:
    """Change one mark of each of these boards; how many seconds each took."""
    taken = []
    for key in keys:
        board = family.board(*key).board
        now = board.habits[0].times[0]
        cell = Cell(0, 0, STATUSES[(STATUSES.index(now) + 1) % 3] if now in STATUSES else "green")
        taken.append(_timed(lambda key=key, cell=cell: family.set_marks(*key, [cell])))
    connection.close()  # this thread's own; the next share begins with a read, which is not measured
    return taken


def _go_to(stage: str) -> None:
    """Past the product's rules, which do not let a migration come and go: only what the service does is measured."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE migration_ops_migrationstate SET stage = %s, version = version + 1 WHERE name = %s AND stage <> %s",
            [stage, boards.name, stage],
        )


def _timed(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun
