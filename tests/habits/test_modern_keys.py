"""The keys of the modern store without their content: exactly those that a scan returns, page by page."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest
from django.db import connection

from habits.board import Board, BoardKey, Habit
from habits.stores.modern import ModernStore
from migration_ops.definition import ListsKeys, Span

OWNERS = (UUID(int=1), UUID(int=2))
MONDAY = date(2025, 7, 21)

store = ModernStore()


@pytest.fixture
def boards(db: None) -> None:
    store.save(
        Board(BoardKey(owner, child, MONDAY + timedelta(weeks=week)), habits=(Habit("읽기"),))
        for owner in OWNERS
        for child in ("지우", "=1+1")
        for week in range(3)
    )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM children WHERE user_id = %s AND name = '지우'", [OWNERS[0]])


@pytest.mark.usefixtures("boards")
@pytest.mark.parametrize("limit", [1, 4, 5, 12, 13])
def test_they_are_those_of_a_scan_with_the_same_cursors(limit: int) -> None:
    assert isinstance(store, ListsKeys)
    for whole in store.spans(2):
        after = whole.after
        while True:
            span = Span(after, whole.until)
            scanned, listed = store.scan(span, limit), store.scan_keys(span, limit)
            assert sorted(listed.keys) == sorted(board.key for board in scanned.documents)
            assert listed.cursor == scanned.cursor
            if listed.cursor is None:
                break
            after = listed.cursor


@pytest.mark.usefixtures("boards")
def test_a_week_without_a_child_is_listed_under_a_key_that_no_legacy_row_has() -> None:
    keys = store.scan_keys(Span(), 100).keys

    assert len(keys) == 12
    assert len([key for key in keys if "is missing" in key.child]) == 3


@pytest.mark.django_db
def test_an_empty_store_lists_nothing() -> None:
    listed = store.scan_keys(Span(), 10)

    assert (listed.keys, listed.cursor) == ([], None)
