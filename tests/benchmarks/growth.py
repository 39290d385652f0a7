"""Whether a row costs the same time, and a process the same memory, however many rows there are."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks import measure
from tests.benchmarks.measure import Benchmark

COMMANDS = {"backfill": "backfill", "validate": "validate_migration"}


def growth(sizes: list[int]) -> Iterator[Benchmark]:
    """Seconds a row and peak memory of a backfill and a validation, each a process of its own, at growing sizes.

    Every size is compared with the first; time has no target, because a process takes its second to start.
    """
    first: dict[str, tuple[float, float]] = {}
    for size in sizes:
        measure.seed(size)
        measure.empty_modern()
        for name, command in COMMANDS.items():
            seconds, peak = measure.peak_of_process(command)
            microseconds, mebibytes = seconds / size * 1e6, peak / 1024
            first_time, first_memory = first.setdefault(name, (microseconds, mebibytes))
            yield Benchmark(f"growth_{name}_time_{size}", microseconds, "µs/row", first_time)
            yield Benchmark(
                f"growth_{name}_memory_{size}", mebibytes, "MiB", first_memory, target=1.25, more_is_better=False
            )
