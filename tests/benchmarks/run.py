"""`bin/bench`: measure, print a table, and optionally write the figures as JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from django.db import connection
from rich.console import Console
from rich.table import Column, Table

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


def growth(sizes: list[int]) -> Iterator[Benchmark]:
    """Seconds a row and peak memory of a backfill in a process of its own, at growing sizes."""
    figures = []
    for size in sizes:
        measure.empty_modern()
        seed(size)
        figures.append((size, *measure.peak_of_process("backfill")))
    first_size, first_seconds, first_peak = figures[0]
    for size, seconds, peak in figures[1:]:
        yield Benchmark(
            f"growth_memory_{size}_against_{first_size}_rows",
            peak / 1024,
            "MiB",
            first_peak / 1024,
            target=1.25,
            more_is_better=False,
        )
        yield Benchmark(
            f"growth_time_a_row_{size}_against_{first_size}_rows",
            seconds / size * 1e6,
            "µs/row",
            first_seconds / first_size * 1e6,
        )


def seed(rows: int) -> None:
    """Clean legacy rows whose owners have accounts."""
    measure.command("seed_legacy", "--rows", str(rows), "--seed", "1", "--reset")
    measure.command("import_owners", "--from-legacy")
    measure.execute("ANALYZE habit_tracker")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, metavar="N", help="legacy rows (default 20,000)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of the quick ones; the median counts")
    parser.add_argument("--growth", default="10000,200000", metavar="N,N", help="sizes for growth; empty for none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args(arguments)
    old_name = str(connection.settings_dict["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        seed(options.rows)
        measure.command("stage", "advance", "--actor", "benchmark")
        figures = list(backfill_and_validate(options.rows, options.repeat))
        if options.growth:
            figures += growth([int(size) for size in options.growth.split(",")])
    finally:
        connection.creation.destroy_test_db(old_name, verbosity=0)
    Console(width=None if sys.stdout.isatty() else 120).print(table(figures))
    if options.json:
        text = json.dumps({figure.name: figure.as_json() for figure in figures}, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    return int(any(figure.met is False for figure in figures))


def table(figures: list[Benchmark]) -> Table:
    """The figures for people."""
    shown = Table(Column("benchmark", no_wrap=True), "value", "baseline", "unit", "ratio", "target", "met")
    for figure in figures:
        bound = "" if figure.target is None else f"{'≥' if figure.more_is_better else '≤'} {figure.target:g}"
        met = "" if figure.met is None else "yes" if figure.met else "NO"
        shown.add_row(
            figure.name,
            f"{figure.value:,.1f}",
            f"{figure.baseline:,.1f}",
            figure.unit,
            f"{figure.ratio:.2f}",
            bound,
            met,
        )
    return shown
