"""How long users wait for a backfill when they write legacy rows past the app."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.benchmarks import measure, writers
from tests.benchmarks.measure import Benchmark

RATE = 100
"""Writes a second, in all."""

RATE_IN_THE_WAY = 25
"""So few that they do not all wait at once: a backfill that sees many waiters holds back, and then nobody waits."""

QUIET_SECONDS = 5.0

LONGEST = 250.0
"""Milliseconds that a user may wait for a batch."""


def live(rows: int) -> Iterator[Benchmark]:
    """What 95 % of the writes stay within during a backfill, against the time before it; and the longest wait where
    all of them go for the rows of the batch at hand, which is as bad as it gets."""
    measure.seed(rows)
    measure.empty_modern()
    with writers.writing(RATE, writers.any_row) as quiet:
        time.sleep(QUIET_SECONDS)
    with writers.writing(RATE, writers.any_row) as during:
        measure.peak_of_process("backfill")
    yield Benchmark("live", during.percentile(95), "ms", quiet.percentile(95))
    measure.seed(rows)
    measure.empty_modern()
    with writers.writing(RATE_IN_THE_WAY, writers.row_in_the_way) as in_the_way:
        measure.peak_of_process("backfill")
    yield Benchmark(
        "live_longest_wait_for_a_batch", in_the_way.percentile(100), "ms", LONGEST, target=1, more_is_better=False
    )
