"""Rows of the legacy table of almost a megabyte each: pages hold fewer of them, and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from habits.board import Board, BoardKey
from habits.migration import boards
from habits.stores.legacy_sizes import PAGE_BYTES
from habits.stores.legacy_table import LegacyTableStore
from migration_ops.definition import Page, Span
from tests.engine.syncing import begin_dual_write
from tests.habits.legacy_database import insert, prepare, row
from tests.habits.legacy_strategies import OWNER
from tests.peak_memory import run_measured
from tests.sampling import drawn

LARGE = 900_000
FULL = -(-PAGE_BYTES // LARGE)
"""Rows with which a page is full."""


@pytest.fixture
def legacy(db: None) -> LegacyTableStore:
    prepare()
    return LegacyTableStore(accepted=lambda rows: {})


@pytest.fixture
def committed(transactional_db: None) -> Iterator[None]:
    """An empty legacy table that other processes see."""
    prepare()
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE habit_tracker")


def text(number: int) -> dict[str, Any]:
    return row(number, child_name=f"child {number}", theme="x" * LARGE)


def compressed_json(number: int) -> dict[str, Any]:
    """Stored in a hundredth of what it is."""
    habit = {"id": 1, "name": "물", "times": [], "padding": "x" * LARGE}
    return row(number, child_name=f"child {number}", habits=[habit])


def small(number: int) -> dict[str, Any]:
    return row(number, child_name=f"child {number}")


def too_large(number: int) -> dict[str, Any]:
    """Next to nothing of it comes over."""
    return row(number, child_name=f"child {number}", theme="x" * 2 * LARGE)


def pages(legacy: LegacyTableStore, limit: int, *, claiming: bool) -> list[Page[BoardKey, Board]]:
    claimed: set[BoardKey] = set()
    claim = claimed.update if claiming else None
    found = [legacy.scan(Span(), limit, claim=claim)]
    while found[-1].cursor is not None:
        found.append(legacy.scan(Span(found[-1].cursor), limit, claim=claim))
        assert found[-1].rows or found[-1].cursor is None, "a page makes progress"
    if claiming:
        assert claimed == {document.key for page in found for document in page.documents}
    return found


def assert_whole(found: list[Page[BoardKey, Board]], rows: int) -> None:
    """Every row is counted once, and the boards are the same as page by page of one row."""
    assert [page.rows for page in found] == [
        len(page.documents) + page.merged_rows + len(page.rejections) for page in found
    ]
    assert sum(page.rows for page in found) == rows
    said = [link.row for page in found for link in page.links] + [r.row for page in found for r in page.rejections]
    assert sorted(map(int, said)) == list(range(1, rows + 1))


@pytest.mark.parametrize("claiming", [False, True])
@pytest.mark.parametrize(
    ("make", "rows_a_page"),
    [
        (text, [FULL, FULL, 2]),
        (compressed_json, [FULL, FULL, 2]),
        (small, [2 * FULL + 2]),
        (too_large, [2 * FULL + 2]),
    ],
)
def test_a_page_ends_where_its_rows_are_large(
    legacy: LegacyTableStore, make: Callable[[int], dict[str, Any]], rows_a_page: list[int], claiming: bool
) -> None:
    count = 2 * FULL + 2
    insert(*(make(number) for number in range(1, count + 1)))
    found = pages(legacy, 1_000, claiming=claiming and make is not too_large)
    assert [page.rows for page in found] == rows_a_page
    assert_whole(found, count)
    one_by_one = pages(legacy, 1, claiming=False)
    assert [board for page in found for board in page.documents] == [
        board for page in one_by_one for board in page.documents
    ]


@pytest.mark.parametrize("claiming", [False, True])
def test_a_page_ends_where_its_boards_have_large_rows_elsewhere(legacy: LegacyTableStore, claiming: bool) -> None:
    count = FULL + 3
    insert(*(small(number) for number in range(1, count + 1)))
    insert(*(row(count + n, child_name=f"child {n}", theme=f"{n}" + "x" * LARGE) for n in range(1, count + 1)))
    found = pages(legacy, count, claiming=claiming)
    assert [page.rows for page in found] == [FULL, 3 + FULL, 3]
    assert_whole(found, 2 * count)
    documents = {document.key.child: document.theme for page in found for document in page.documents}
    assert documents == {f"child {n}": f"{n}" + "x" * LARGE for n in range(1, count + 1)}


def test_a_page_of_a_sample_ends_where_its_rows_are_large(legacy: LegacyTableStore) -> None:
    count = FULL + 2
    insert(*(text(number) for number in range(1, count + 1)))
    first = legacy.sample(count, 1, limit=1_000)
    assert (first.rows, first.cursor is None) == (FULL, False)
    assert len(drawn(legacy, count, 1, limit=1_000).documents) == count


def test_every_content_is_read_though_pages_end_early(legacy: LegacyTableStore) -> None:
    insert(*(text(number) for number in range(1, FULL + 3)))
    assert [row for row, _ in legacy.fingerprints()] == [str(number) for number in range(1, FULL + 3)]


def fill(rows: int) -> int:
    """Large rows: most a long text, some a thousand habits; MB of all of them."""
    habits = json.dumps([{"id": n, "name": f"{n} " + "x" * 150, "times": ["green"] * 7} for n in range(1_000)])
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE filling AS SELECT string_agg(md5(n::text), '') AS said FROM"
            " generate_series(1, %s) AS n",
            [LARGE // 32],
        )
        cursor.execute(
            "INSERT INTO habit_tracker (child_name, theme, habits, week_start_date, user_id)"
            " SELECT 'child ' || n, CASE WHEN n %% 20 > 0 THEN n || said END,"
            "        CASE WHEN n %% 20 = 0 THEN %s::jsonb ELSE '[]' END, '2025-07-21', %s"
            "   FROM generate_series(1, %s) AS n, filling",
            [habits, OWNER, rows],
        )
        cursor.execute("DROP TABLE filling")
        cursor.execute("SELECT sum(octet_length(coalesce(theme, '')) + octet_length(habits::text)) FROM habit_tracker")
        return int(cursor.fetchone()[0]) // 1024 // 1024


@pytest.mark.parametrize(("rows", "most"), [(80, 80), pytest.param(400, 80, marks=pytest.mark.slow)])
def test_memory_is_bounded_however_many_large_rows_a_batch_may_have(committed: None, rows: int, most: int) -> None:
    assert fill(rows) > most * 4 // 5
    begin_dual_write(boards)
    copied = run_measured("backfill", "--batch-size", "1000")
    assert (copied.exit_code, copied.said["rows_read"], copied.said["boards_written"]) == (0, rows, rows)
    compared = run_measured("validate_migration")
    assert (compared.exit_code, compared.said["complete"], compared.said["matched"]) == (0, True, rows)
    assert max(copied.growth, compared.growth) < most
