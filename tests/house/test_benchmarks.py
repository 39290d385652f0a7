"""The benchmarks can be run although nobody runs them with every change."""

from __future__ import annotations

from tests.benchmarks.measure import ENGINE_TABLES, TABLES, empty_modern
from tests.engine.syncing import rows


def test_a_benchmark_empties_whatever_hangs_on_what_it_empties(transactional_db: None) -> None:
    """A table that refers to another one cannot be left out, and a new one easily is."""
    emptied = {*TABLES, *ENGINE_TABLES}
    referring = (
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND confrelid = ANY(%s::regclass[])"
    )
    assert {name for (name,) in rows(referring, sorted(emptied))} <= emptied
    empty_modern()
