"""A file of legacy rows beside a legacy table that has rows of its own, and what must be known of both afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.acceptance.commands import Result, run
from tests.acceptance.modern import boards, query
from tests.habits.legacy_database import row
from tests.habits.legacy_strategies import OWNER

GREEN, RED = ("green", *[""] * 6), ("red", *[""] * 6)


def board(number: int, child: str, times: tuple[str, ...] = GREEN, **columns: Any) -> dict[str, Any]:
    """A row of this child, as table and file have it, with one habit marked like this."""
    habits = [{"id": 1, "name": "양치하기", "times": list(times)}]
    return row(number, child_name=child, habits=habits, **columns)


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"records": list(rows)}, ensure_ascii=False), encoding="utf-8")
    return path


def load(path: Path, *arguments: str) -> Result:
    """`backfill --source` of this file; its counts add up."""
    done = run("backfill", "--source", str(path), *arguments)
    if "rows_read" in done.data:
        parts = ("boards_written", "boards_unchanged", "boards_merged", "rows_quarantined")
        assert done["rows_read"] == sum(done[part] for part in parts)
    return done


def marks() -> dict[str, list[str]]:
    """The first habit's marks of every child's board in modern, of the one family and week of these tests."""
    return {child: found["habits"][0][1] for (owner, child, _), found in boards().items() if owner == str(OWNER)}


def first_marks() -> dict[str, str]:
    """The first day's mark by child."""
    return {child: times[0] for child, times in marks().items()}


def lineage(source: Path | None = None) -> dict[str, str | None]:
    """Code by row, of this file or of the legacy store."""
    return dict(
        query("SELECT row, code FROM migration_ops_lineage WHERE source = %s", ["" if source is None else str(source)])
    )


def imported() -> int:
    return int(query("SELECT count(*) FROM migration_ops_importeddocument")[0][0])


def everything() -> dict[str, Any]:
    """All that a run which writes nothing must leave as it is, with the version of every row."""
    tables = ("lineage", "quarantineitem", "mergerecord", "importeddocument", "dirtykey")
    state = {name: query(f"SELECT xmin::text, t::text FROM migration_ops_{name} t ORDER BY 2") for name in tables}
    for name in ("weeks", "habits", "habit_records", "children"):
        state[name] = query(f"SELECT xmin::text, t::text FROM {name} t ORDER BY 2")
    return state
