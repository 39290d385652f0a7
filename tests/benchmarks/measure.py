"""Runs contenders on the same rows and says how they compare."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management import call_command
from django.db import connection

from tests.database import database_url

TABLES = ("habit_records", "habits", "weeks", "children")
ENGINE_TABLES = (
    "migration_ops_lineage",
    "migration_ops_mergerecord",
    "migration_ops_dirtykey",
    "migration_ops_quarantineitem",
    "migration_ops_difference",
    "migration_ops_touchedkey",
    "migration_ops_runrange",
    "migration_ops_run",
)


@dataclass(frozen=True)
class Benchmark:
    """One figure.

    Attributes:
        value, baseline: in `unit`; the ratio is value ÷ baseline.
        target: bound for the ratio; None where there is none.
        more_is_better: whether the ratio must be at least or at most the target.
    """

    name: str
    value: float
    unit: str
    baseline: float
    target: float | None = None
    more_is_better: bool = True

    @property
    def ratio(self) -> float:
        return self.value / self.baseline

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.ratio >= self.target if self.more_is_better else self.ratio <= self.target

    def as_json(self) -> dict[str, Any]:
        return {
            "value": round(self.value, 3),
            "unit": self.unit,
            "baseline": round(self.baseline, 3),
            "ratio": round(self.ratio, 3),
            "target": self.target,
            "met": self.met,
        }


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def seed(rows: int) -> None:
    """Clean legacy rows whose owners have accounts."""
    command("seed_legacy", "--rows", str(rows), "--seed", "1", "--reset")
    command("import_owners", "--from-legacy")
    execute("ANALYZE habit_tracker")


def empty_modern() -> None:
    """An empty modern schema and engine, the same for every contender; only ever in the benchmark's own database."""
    execute(f"TRUNCATE {', '.join((*TABLES, *ENGINE_TABLES))}")
    if _may_checkpoint():
        execute("CHECKPOINT")


def _may_checkpoint() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_has_role(current_user, 'pg_checkpoint', 'USAGE')")
        return bool(cursor.fetchone()[0])


def timed(job: Callable[[], Any]) -> float:
    """Seconds, by the wall clock."""
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def command(name: str, *arguments: str) -> dict[str, Any]:
    """Run a command of the product in this process; its JSON object.

    Raises:
        RuntimeError: it did not succeed.
    """
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(name, *arguments, "--json", stdout=out, stderr=err)
    except SystemExit as ended:
        raise RuntimeError(f"{name} ended with {ended.code}: {err.getvalue()} {out.getvalue()}") from ended
    return dict(json.loads(out.getvalue()))


def limit_of_copy() -> float:
    """Seconds that the server needs to COPY the rows that are in the modern tables into the same tables, emptied."""
    with TemporaryDirectory() as directory, connection.cursor() as cursor:
        for table in TABLES:
            with (
                (Path(directory) / table).open("wb") as file,
                cursor.copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as rows,
            ):
                for block in rows:
                    file.write(block)
        empty_modern()
        return timed(lambda: _load(cursor, Path(directory)))


def _load(cursor: Any, directory: Path) -> None:
    for table in reversed(TABLES):
        with (directory / table).open("rb") as file, cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as rows:
            while block := file.read(1 << 20):
                rows.write(block)


def peak_of_process(*arguments: str) -> tuple[float, int]:
    """Seconds and peak resident memory in KiB of `manage.py ARGUMENTS` as a process of its own.

    Raises:
        RuntimeError: it did not succeed.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, "DATABASE_URL": database_url()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)} ended with {process.returncode}")
    return time.perf_counter() - begun, usage.ru_maxrss
