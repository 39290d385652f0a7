"""However large a legacy file is, and whatever its records: what reading it takes in memory stays the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.habits.legacy_files import row
from tests.peak_memory import run_measured

pytestmark = pytest.mark.django_db(transaction=True)

MEGABYTE = 1024 * 1024
MOST_MEGABYTES = 256


def usual(size: int) -> Iterator[str]:
    """Rows of some 3 kB, each of a week of its own."""
    habits = [{"id": n, "name": f"습관 {n}", "times": ["green", "", "red", "", "", "yellow", ""]} for n in range(25)]
    written = number = 0
    while written < size:
        text = json.dumps(row(number, child_name=f"child {number}", habits=habits), ensure_ascii=False)
        written += len(text.encode())
        number += 1
        yield text


def large(size: int) -> Iterator[str]:
    """Rows that are just small enough, some of many values, some of characters that need much room."""
    values = ",".join(["{}"] * (MEGABYTE // 3 - 1_000))
    emoji = "👩‍👧" * (MEGABYTE // 11 - 1_000)
    for number in range(size // MEGABYTE):
        text = json.dumps(row(number, child_name=f"child {number}"))
        yield f'{text[:-1]}, "values": [{values}]}}' if number % 2 else f'{text[:-1]}, "reward": "{emoji}"}}'


def huge(size: int) -> Iterator[str]:
    """Two rows of which nobody can hold one."""
    for number, filling in enumerate((f'"{"ü" * (size // 4)}"', f"[{','.join(['[{}]'] * (size // 10))}]")):
        yield f'{json.dumps(row(number))[:-1]}, "filling": {filling}}}'


def write(path: Path, records: Iterator[str]) -> None:
    lines = path.suffix == ".ndjson"
    with path.open("w", encoding="utf-8") as file:
        file.write("" if lines else '{"records": [\n')
        for number, text in enumerate(records):
            file.write(text + "\n" if lines else f"{',' if number else ''}{text}")
        file.write("" if lines else "]}")


def peak(path: Path, var: Path) -> float:
    """MB that a process holds at most which reads the whole file."""
    measured = run_measured(
        "import_owners",
        "--from-legacy",
        "--dry-run",
        LEGACY_BACKEND="json",
        LEGACY_JSON_PATH=str(path),
        VAR_DIR=str(var),
        REDIS_URL="redis://127.0.0.1:1",
    )
    assert (measured.exit_code, measured.said) == (0, {"created": 1, "existing": 0, "dry_run": True})
    return measured.peak


@pytest.mark.parametrize(
    ("records", "name", "megabytes"),
    [
        (large, "legacy.ndjson", 15),
        (huge, "legacy.json", 15),
        *(
            pytest.param(records, name, 300, marks=pytest.mark.slow)
            for records in (usual, large, huge)
            for name in ("legacy.json", "legacy.ndjson")
        ),
    ],
)
def test_a_file_of_any_size_is_read_in_bounded_memory(
    tmp_path: Path, records: Callable[[int], Iterator[str]], name: str, megabytes: int
) -> None:
    write(tmp_path / name, records(megabytes * MEGABYTE))
    assert peak(tmp_path / name, tmp_path / "var") < MOST_MEGABYTES
