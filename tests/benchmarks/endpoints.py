"""How long the API takes to read from modern, against legacy: what a family notices of the move."""

from __future__ import annotations

from collections.abc import Iterator

from habits.endpoint_comparison.report import BOUND
from tests.benchmarks import measure
from tests.benchmarks.measure import Benchmark

FAMILIES = 50
REPEAT = 3


def endpoints(rows: int) -> Iterator[Benchmark]:
    """What 95 % of the answers of each call stay within, for a sample of families; answers that differ end it."""
    measure.seed(rows)
    measure.empty_modern()
    measure.command("backfill")
    said = measure.command("compare_endpoints", "--families", str(FAMILIES), "--repeat", str(REPEAT))
    for endpoint in said["endpoints"]:
        name = endpoint["endpoint"].removeprefix("/api/")
        legacy, modern = endpoint["legacy_p95_ms"], endpoint["modern_p95_ms"]
        yield Benchmark(f"endpoint_{name}", modern, "ms", legacy, target=BOUND, more_is_better=False)
