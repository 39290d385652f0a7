"""The dirty list has one index beside its primary key; it is enough for whoever waits, however long the list is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from migration_ops.definition import AnyMigration
from migration_ops.sync import claims, dirty
from tests.engine.syncing import rows, run
from tests.notes.migration import notes as migration
from tests.notes.note import NoteKey

FEW = 60
"""Pages; the list below has more than ten times as many."""

KEY = NoteKey("home", "milk")
TEA = NoteKey("home", "tea")
LATER = timedelta(minutes=1)


@pytest.fixture
def long_list(notes: AnyMigration) -> AnyMigration:
    """Two migrations with 30,000 changed rows each; this one, and a third one, with three changed keys."""
    run(
        "INSERT INTO migration_ops_dirtykey (migration, side, row, created_at)"
        " SELECT name, 'legacy', number::text, clock_timestamp()"
        "   FROM generate_series(1, 30000) AS number, unnest(%s::text[]) AS name",
        [notes.name, "another"],
    )
    run(
        "INSERT INTO migration_ops_dirtykey (migration, side, key, created_at)"
        " SELECT name, 'legacy', key, clock_timestamp() FROM unnest(%s::text[]) AS name, unnest(%s::text[]) AS key",
        [notes.name, "third"],
        [
            migration.encode_key(KEY),
            migration.encode_key(TEA),
            migration.encode_key(NoteKey("office", "ink")),
        ],
    )
    run("ANALYZE migration_ops_dirtykey")
    return notes


def pages(ask: Callable[[], object]) -> int:
    """How many pages PostgreSQL looks at for what this asks."""
    with CaptureQueriesContext(connection) as asked:
        ask()
    plans = [rows(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query['sql']}")[0][0] for query in asked.captured_queries]
    found = [json.loads(plan) if isinstance(plan, str) else plan for plan in plans]
    return sum(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] for plan in found)


def test_a_family_s_read_and_write_find_their_key_at_once(long_list: AnyMigration) -> None:
    key = migration.encode_key(KEY)
    assert [said for _, said, _ in dirty.speaking_of(long_list, [key])] == [key]
    assert pages(lambda: dirty.speaking_of(long_list, [key])) < FEW
    assert len(dirty.of_keys(long_list, [KEY])) == 1
    assert pages(lambda: dirty.of_keys(long_list, [KEY])) < FEW
    assert dirty.exceptional(long_list, '["home"') == {key, migration.encode_key(TEA)}
    assert pages(lambda: dirty.exceptional(long_list, '["home"')) < FEW


def test_a_row_is_found_through_its_key(long_list: AnyMigration) -> None:
    key = migration.encode_key(NoteKey("home", "salt"))
    run("INSERT INTO migration_ops_lineage (migration, row, key) VALUES (%s, '29999', %s)", long_list.name, key)
    assert [said for _, said, _ in dirty.speaking_of(long_list, [key])] == [key]
    assert pages(lambda: dirty.speaking_of(long_list, [key])) < FEW


def test_the_oldest_notices_are_taken_without_looking_at_all_of_them(long_list: AnyMigration) -> None:
    now = dirty.now()
    assert len(claims.claim(long_list, 10, noted=now, due=now + LATER)) == 10
    assert pages(lambda: claims.claim(long_list, 10, noted=now, due=now + LATER)) < FEW


def test_a_short_list_is_worked_off_although_others_have_long_ones(long_list: AnyMigration) -> None:
    third, now = replace(long_list, name="third"), dirty.now()
    with transaction.atomic():
        assert len(claims.claim(third, 10, noted=now, due=now + LATER)) == 3
        assert pages(lambda: claims.claim(third, 10, noted=now, due=now + LATER)) < FEW
    assert pages(lambda: claims.noted(third, due=now + LATER)) < FEW
