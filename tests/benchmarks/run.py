"""`bin/bench`: measure, print a table, and optionally write the figures as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from django.db import connection
from rich.console import Console
from rich.table import Column, Table

from tests.benchmarks import measure
from tests.benchmarks.dual_write import capture, dual_write
from tests.benchmarks.endpoints import endpoints
from tests.benchmarks.growth import growth
from tests.benchmarks.live import live
from tests.benchmarks.measure import Benchmark
from tests.benchmarks.queued import queued
from tests.benchmarks.rollout import rollback, router
from tests.benchmarks.sync_lag import sync_lag
from tests.benchmarks.throughput import backfill_and_validate

PARTS: Mapping[str, Callable[[argparse.Namespace], Iterable[Benchmark]]] = {
    "throughput": lambda options: backfill_and_validate(options.rows, options.repeat),
    "live": lambda options: live(options.rows),
    "queued": lambda options: queued(options.rows),
    "sync_lag": lambda options: sync_lag(),
    "endpoints": lambda options: endpoints(options.rows),
    "dual_write": lambda options: dual_write(),
    "capture": lambda options: capture(),
    "router": lambda options: router(),
    "rollback": lambda options: rollback(),
    "growth": lambda options: growth([int(size) for size in options.growth.split(",") if size]),
}
"""What is measured, in this order. `throughput` finds the table as `main` filled it; the others fill it themselves."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, metavar="N", help="legacy rows (default 20,000)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of the quick ones; the median counts")
    parser.add_argument(
        "--growth", default="10000,100000", metavar="N,N", help="sizes for growth, e.g. also 1000000; empty for none"
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this; may be given again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args(arguments)
    old_name = str(connection.settings_dict["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        measure.seed(options.rows)
        measure.command("stage", "advance", "--actor", "benchmark")
        figures: list[Benchmark] = []
        for name in options.only or PARTS:
            figures += PARTS[name](options)
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
