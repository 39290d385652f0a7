"""How fast boards are copied and compared, beside what others would write and beside the limit."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.benchmarks import measure, peers
from tests.benchmarks.measure import Benchmark

ROW_BY_ROW_ROWS = 300
"""So slow that a few hundred rows say its speed as well as all of them."""


def backfill_and_validate(rows: int, repeat: int) -> Iterator[Benchmark]:
    """The backfill against its peers and the limit, and full validation against the backfill."""
    measure.empty_modern()
    slow_rows = min(ROW_BY_ROW_ROWS, rows)
    row_by_row = slow_rows / measure.timed(lambda: peers.row_by_row(slow_rows))
    measure.empty_modern()
    bulk = rows / measure.timed(peers.bulk_create)
    measure.empty_modern()
    set_based = rows / measure.timed(peers.set_based_sql)
    backfill_seconds, validate_seconds, limit_seconds = [], [], []
    for _ in range(repeat):
        measure.empty_modern()
        backfill_seconds.append(measure.timed(lambda: measure.command("backfill")))
        validate_seconds.append(measure.timed(lambda: measure.command("validate_migration")))
        limit_seconds.append(measure.limit_of_copy())
    backfill = rows / statistics.median(backfill_seconds)
    unit = "legacy rows/s"
    yield Benchmark("backfill_against_row_by_row", backfill, unit, row_by_row)
    yield Benchmark("backfill_against_bulk_create", backfill, unit, bulk, target=10)
    yield Benchmark("backfill_against_set_based_sql", backfill, unit, set_based)
    yield Benchmark("backfill_against_copy_limit", backfill, unit, rows / statistics.median(limit_seconds), target=0.4)
    yield Benchmark(
        "validate_against_backfill",
        statistics.median(validate_seconds),
        "s",
        statistics.median(backfill_seconds),
        target=1,
        more_is_better=False,
    )
