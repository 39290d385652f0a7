"""The legacy store behind the table, on a real PostgreSQL."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.contrib.postgres.functions import TransactionNow
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from habits.board import Board, BoardKey, encode_key, mark, set_theme
from habits.models import User
from habits.seed_data import DataSet
from habits.seed_mess import UNKNOWN_OWNER
from habits.stores.legacy_boards import assemble
from habits.stores.legacy_heads import heads_of_keys
from habits.stores.legacy_schema import create_table
from habits.stores.legacy_table import LegacyTableStore
from habits.stores.legacy_verdict import CODES, parse
from migration_ops.definition import Page, Rejection, Saved, Span
from migration_ops.exceptions import DocumentHeld, UnusableInput
from migration_ops.models import BeforeImage
from tests.engine.waiting import InThread, until_somebody_waits
from tests.habits.legacy_database import everything, insert, prepare, query, row, second_connection
from tests.habits.legacy_strategies import KEY, OTHER_OWNER, OWNER
from tests.sampling import drawn

EVERYTHING = Span()
NFD = unicodedata.normalize("NFD", "달이")


@pytest.fixture
def legacy(db: None) -> LegacyTableStore:
    prepare()
    return LegacyTableStore(accepted=lambda rows: {})


@pytest.fixture
def committed(transactional_db: None) -> Iterator[LegacyTableStore]:
    """The store with data that other connections see."""
    prepare()
    yield LegacyTableStore(accepted=lambda rows: {})
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE habit_tracker")


def pages(legacy: LegacyTableStore, limit: int, span: Span = EVERYTHING) -> list[Page[BoardKey, Board]]:
    found = [legacy.scan(span, limit)]
    while found[-1].cursor is not None:
        found.append(legacy.scan(Span(found[-1].cursor, span.until), limit))
    return found


def archived() -> QuerySet[BeforeImage]:
    """What this test archived: what a file store archives is committed at once and outlives the test that did it."""
    return BeforeImage.objects.filter(at=TransactionNow())


def only(legacy: LegacyTableStore) -> Board:
    (document,) = legacy.load([KEY]).documents
    return document


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_every_row_is_counted_once_and_every_board_is_whole_over_any_page_size(
    legacy: LegacyTableStore, limit: int
) -> None:
    data = DataSet(400, 3, messy=True)
    records = list(data.records())
    insert(*records)
    owners = {child.owner for child in data.children()}
    User.objects.bulk_create([User(id=owner, email=f"{owner}@example.org") for owner in owners])
    oracle = assemble([parse(record, owners, size=len(json.dumps(record))) for record in records])
    found = pages(legacy, limit)
    for page in found:
        assert page.rows == len(page.documents) + page.merged_rows + len(page.rejections)
        assert page.rows <= limit
        assert len(page.links) == len(page.documents) + page.merged_rows
    said = [link.row for page in found for link in page.links]
    said += [rejection.row for page in found for rejection in page.rejections]
    assert sorted(said) == sorted(str(record["id"]) for record in records)
    assert [board for page in found for board in page.documents] == [board.board for board in oracle.boards]
    assert {(r.row, r.code, r.held_by) for page in found for r in page.rejections} == {
        (r.row, r.code, r.held_by) for r in oracle.rejections
    }
    assert any(page.merges for page in found)


def test_a_document_is_whole_though_its_rows_are_spelled_differently_and_far_apart(legacy: LegacyTableStore) -> None:
    insert(
        row(1, child_name=f"{NFD} ", theme="첫째", week_start_date="2025-07-27"),
        row(2, child_name="달이\n", reward="상", week_start_date=None, week_period="2025년 7월 23일 ~"),
        row(3, child_name="별이"),
        row(4, user_id=str(OTHER_OWNER)),
        row(5, week_start_date="2025-07-28"),
        row(6, week_start_date="2025-07-20"),
        row(7, week_start_date="2025-07-24"),
    )
    whole = [board for page in pages(legacy, 1) for board in page.documents if board.key == KEY]
    assert [(board.theme, board.reward) for board in whole] == [("첫째", "상")]
    assert [page.merged_rows for page in pages(legacy, 1)] == [1, 1, 0, 0, 0, 0, 0, 0]
    (merge,) = legacy.load([KEY]).merges
    assert merge.rows == ("7", "2", "1")


def test_a_rejected_row_on_another_page_holds_the_board(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2), row(3, habits={"no": "array"}))
    first = pages(legacy, 1)[0]
    assert (first.rows, first.documents, first.links) == (1, [], [])
    assert [(said.row, said.held_by, said.code) for said in first.rejections] == [("1", "3", "habits_malformed")]


def test_accepted_rows_are_asked_for_only_where_something_is_rejected(legacy: LegacyTableStore) -> None:
    asked: list[Collection[str]] = []
    fingerprints: dict[str, str] = {}

    def accepted(rows: Collection[str]) -> dict[str, str]:
        asked.append(rows)
        return fingerprints

    store = LegacyTableStore(accepted=accepted)
    insert(row(1))
    assert len(store.scan(EVERYTHING, 10).documents) == 1
    assert asked == []
    insert(row(2, habits=7))
    (bad,) = [said for said in store.scan(EVERYTHING, 10).rejections if said.held_by is None]
    fingerprints[bad.row] = bad.fingerprint
    page = store.scan(EVERYTHING, 10)
    assert [said.accepted for said in page.rejections] == [True]
    assert len(page.documents) == 1
    assert list(asked[-1]) == ["2"]
    query("UPDATE habit_tracker SET habits = '8' WHERE id = 2 RETURNING id")
    assert store.scan(EVERYTHING, 10).documents == []


def test_every_code_that_a_table_can_hold_comes_out_of_the_table(legacy: LegacyTableStore) -> None:
    insert(*DataSet(2000, 5, messy=True).records())
    for owner in LegacyTableStore().owners():
        if str(owner) != UNKNOWN_OWNER:
            User.objects.create(id=owner, email=f"{owner}@example.org")
    codes = {said.code for page in pages(legacy, 500) for said in page.rejections if said.held_by is None}
    assert codes == set(CODES)


@pytest.mark.parametrize(
    "day", ["infinity", "-infinity", "0044-03-15 BC", "2025-07-21 BC", "12024-01-01", "5000000-01-01"]
)
def test_dates_that_no_calendar_of_ours_has_are_unreadable_weeks(legacy: LegacyTableStore, day: str) -> None:
    insert(row(1, week_start_date=day))
    assert [said.code for said in legacy.scan(EVERYTHING, 10).rejections] == ["week_unreadable"]


def test_a_date_is_read_whatever_the_servers_date_style_is(legacy: LegacyTableStore) -> None:
    insert(row(1, week_start_date="2025-07-23"))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL DateStyle = 'German'")
    assert only(legacy).key == KEY


@pytest.mark.parametrize(
    "columns",
    [
        {"theme": "가" * 400_000},
        {"habits": [{"name": "가", "note": "가나다" * 120_000}]},
        {"reflection": {"note": "x" * 1_100_000}},
    ],
)
def test_a_row_of_more_than_a_megabyte_is_rejected_without_being_pulled_over(
    legacy: LegacyTableStore, columns: dict[str, Any]
) -> None:
    insert(row(1, **columns), row(2))
    first, second = legacy.scan(EVERYTHING, 10).rejections
    assert (first.code, first.key, second.held_by) == ("record_too_large", KEY, "1")
    assert len(first.raw) < 10_000
    before = first.fingerprint
    query("UPDATE habit_tracker SET reflection = '{\"bestDay\": \"x\"}', reward = repeat('y', 1100000) RETURNING id")
    assert legacy.scan(EVERYTHING, 10).rejections[0].fingerprint != before


def test_a_row_of_just_under_a_megabyte_is_a_board(legacy: LegacyTableStore) -> None:
    insert(row(1, theme="가" * 340_000))
    assert len(only(legacy).theme) == 340_000


@pytest.mark.parametrize("note", ["1" * 5000, "[" * 1500 + "]" * 1500, "[" * 40 + "]" * 40])
def test_json_beyond_all_bounds_is_too_large(legacy: LegacyTableStore, note: str) -> None:
    insert(row(1))
    query("UPDATE habit_tracker SET habits = %s::jsonb RETURNING id", f'[{{"id": 1, "name": "가", "note": {note}}}]')
    (said,) = legacy.scan(EVERYTHING, 10).rejections
    assert (said.code, said.key) == ("record_too_large", KEY)


def test_spans_are_disjoint_and_cover_everything(legacy: LegacyTableStore) -> None:
    assert legacy.spans(4) == []
    insert(*(row(number) for number in (1, 2, 5, 900, 901, 902, 10**12)))
    for parts in (1, 2, 3, 50):
        spans = legacy.spans(parts)
        assert spans[0].after is None
        assert spans[-1].until == 10**12
        assert [span.after for span in spans[1:]] == [span.until for span in spans[:-1]]
        assert len(spans) <= parts
        assert sum(page.rows for span in spans for page in pages(legacy, 2, span)) == 7


def test_an_exhausted_span_has_no_cursor(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2))
    assert legacy.scan(EVERYTHING, 2).cursor == 2
    assert legacy.scan(Span(2), 2) == Page(cursor=None, rows=0)
    assert legacy.scan(EVERYTHING, 3).cursor is None


def test_a_scan_for_writing_claims_its_keys_first_and_locks_what_it_read(committed: LegacyTableStore) -> None:
    insert(row(1), row(2, child_name="별이"), row(3))
    claimed: list[set[BoardKey]] = []
    with transaction.atomic(), second_connection() as other:
        committed.scan(EVERYTHING, 2, claim=lambda keys: claimed.append(set(keys)))
        for number in (1, 2, 3):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("UPDATE habit_tracker SET theme = 'x' WHERE id = %s", [number])
    assert claimed == [{KEY, KEY._replace(child="별이")}]


def test_a_scan_for_reading_locks_nothing(committed: LegacyTableStore) -> None:
    insert(row(1))
    with transaction.atomic(), second_connection() as other:
        assert len(committed.scan(EVERYTHING, 10).documents) == 1
        assert other.execute("UPDATE habit_tracker SET theme = 'x'").rowcount == 1


def test_a_row_that_changes_its_board_before_it_is_locked_is_claimed_under_its_new_key(
    committed: LegacyTableStore,
) -> None:
    insert(row(1), row(2, child_name="별이", theme="별"))
    claimed: list[set[BoardKey]] = []
    star = KEY._replace(child="별이")
    with second_connection() as other:

        def claim(keys: Collection[BoardKey]) -> None:
            if not claimed:
                other.execute("UPDATE habit_tracker SET child_name = '별이' WHERE id = 1")
            claimed.append(set(keys))

        with transaction.atomic():
            page = committed.scan(EVERYTHING, 1, claim=claim)
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("DELETE FROM habit_tracker WHERE id = 2")
    assert claimed == [{KEY}, {star}]
    assert (page.rows, page.merged_rows, page.documents) == (1, 1, [])
    assert [link.key for link in page.links] == [star]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE habit_tracker SET theme = 'newer' WHERE id = 1",
        "BEGIN; SAVEPOINT s; UPDATE habit_tracker SET theme = 'newer' WHERE id = 1; RELEASE s; COMMIT",
        "CREATE TEMP TABLE kept AS SELECT * FROM habit_tracker WHERE id = 1; DELETE FROM habit_tracker WHERE id = 1;"
        " UPDATE kept SET theme = 'newer'; INSERT INTO habit_tracker SELECT * FROM kept",
    ],
    ids=["changed", "changed in a savepoint", "deleted and inserted"],
)
def test_a_row_that_changes_before_it_is_locked_is_read_again(committed: LegacyTableStore, change: str) -> None:
    insert(row(1), row(2, child_name="별이"))
    with second_connection() as other, transaction.atomic():
        page = committed.scan(EVERYTHING, 2, claim=lambda keys: other.execute(change) and None)
    assert [board.theme for board in page.documents] == ["newer", ""]


def test_a_row_that_somebody_is_just_changing_is_read_as_it_becomes(committed: LegacyTableStore) -> None:
    insert(row(1))

    def scan() -> Page[BoardKey, Board]:
        with transaction.atomic():
            return committed.scan(EVERYTHING, 1, claim=lambda keys: None)

    with second_connection() as other:
        with other.transaction():
            other.execute("UPDATE habit_tracker SET theme = 'newer'")
            scanning = InThread(scan)
            until_somebody_waits()
        (board,) = scanning.outcome().documents
    assert board.theme == "newer"


def test_a_row_that_stays_the_same_is_not_read_again_under_its_lock(legacy: LegacyTableStore) -> None:
    insert(*(row(number, child_name=f"child {number}") for number in range(1, 4)))
    with CaptureQueriesContext(connection) as queries:
        assert len(legacy.scan(EVERYTHING, 3, claim=lambda keys: None).documents) == 3
    locking = [said["sql"] for said in queries if "FOR SHARE" in said["sql"]]
    assert len(locking) == 1
    assert "habits" not in locking[0]


def test_a_row_that_is_deleted_before_it_is_locked_is_not_counted(committed: LegacyTableStore) -> None:
    insert(row(1), row(2, child_name="별이"))
    with second_connection() as other, transaction.atomic():
        page = committed.scan(
            EVERYTHING, 2, claim=lambda keys: other.execute("DELETE FROM habit_tracker WHERE id = 2") and None
        )
    assert (page.rows, len(page.documents), page.cursor) == (1, 1, 2)


def test_loading_for_writing_keeps_the_rows_as_they_are(committed: LegacyTableStore) -> None:
    insert(row(1))
    with transaction.atomic(), second_connection() as other:
        committed.load([KEY], lock=True)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("DELETE FROM habit_tracker")


def loaded_while(committed: LegacyTableStore, change: str) -> Board:
    """The board as it is loaded for writing by somebody who waits until this change of its row is committed."""

    def load() -> list[Board]:
        with transaction.atomic():
            return committed.load([KEY], lock=True).documents

    with second_connection() as other:
        with other.transaction():
            other.execute(change)
            loading = InThread(load)
            until_somebody_waits()
        (board,) = loading.outcome()
    return board


def test_loading_for_writing_waits_for_whoever_changes_the_row_and_reads_all_of_it_as_it_becomes(
    committed: LegacyTableStore,
) -> None:
    insert(row(1))
    board = loaded_while(
        committed,
        """UPDATE habit_tracker SET theme = 'newer', reward = 'newer', reflection = '{"bestDay": "newer"}',"""
        """ habits = '[{"id": 1, "name": "newer", "times": []}]'""",
    )
    said = board.theme, board.reward, board.reflection.best_day, [habit.name for habit in board.habits]
    assert said == ("newer", "newer", "newer", ["newer"])


def test_loading_for_writing_waits_for_whoever_saves_by_deleting_and_inserting(committed: LegacyTableStore) -> None:
    insert(row(1))
    board = loaded_while(
        committed,
        "WITH gone AS (DELETE FROM habit_tracker RETURNING *) INSERT INTO habit_tracker"
        " (id, child_name, week_period, week_start_date, user_id, theme)"
        " SELECT 2, child_name, 'later', week_start_date, user_id, 'newer' FROM gone",
    )
    assert board.theme == "newer"


def test_a_row_that_is_too_large_to_say_whose_it_is_is_not_looked_for_for_ever(legacy: LegacyTableStore) -> None:
    insert(row(1, child_name=f"{KEY.child}{' ' * 3_000}", reward="x" * 1_100_000))
    assert heads_of_keys([KEY]).keys() == {1}
    assert not legacy.load([KEY]).documents


def test_saving_writes_what_differs_in_place_and_the_second_time_nothing(legacy: LegacyTableStore) -> None:
    insert(row(1, theme=None, habits=[{"id": 7, "name": "가", "times": [], "color": "red"}]), row(2, child_name="별이"))
    board = mark(only(legacy), 0, 6, "yellow")
    untouched = everything()[1]
    assert legacy.save([board]) == Saved(1, 0)
    assert only(legacy) == board
    ((theme, habits),) = query("SELECT theme, habits::text FROM habit_tracker WHERE id = 1")
    assert theme is None
    assert json.loads(habits) == [{"id": 7, "name": "가", "color": "red", "times": ["", "", "", "", "", "", "yellow"]}]
    after = everything()
    assert after[1] == untouched
    assert legacy.save([board]) == Saved(0, 1)
    assert everything() == after
    assert archived().count() == 0


def test_further_rows_of_a_changed_board_are_archived_as_they_were_and_removed(legacy: LegacyTableStore) -> None:
    insert(row(1, theme="첫째", habits=[{"id": 1, "name": "나", "times": ["red"], "w": 0.1234567890123456789}]), row(2))
    (exact,) = query("SELECT to_jsonb(h)::text FROM habit_tracker h WHERE id = 1")
    board = only(legacy)
    assert legacy.save([board]) == Saved(0, 1)
    assert len(everything()) == 2
    board = set_theme(board, "새 주제")
    assert legacy.save([board]) == Saved(1, 0)
    assert [number for (number,) in query("SELECT id FROM habit_tracker")] == [2]
    assert only(legacy) == board
    image = archived().get()
    assert (image.migration, image.side, image.key, image.row, image.cause) == (
        "boards",
        "legacy",
        encode_key(KEY),
        "1",
        "archived_row",
    )
    assert query("SELECT image::text FROM migration_ops_beforeimage WHERE id = %s", image.pk) == [exact]


def test_a_board_that_legacy_lacks_becomes_a_row(legacy: LegacyTableStore) -> None:
    insert(row(1, child_name="별이"))
    board = set_theme(Board(KEY), "주제")
    query("SELECT setval('habit_tracker_id_seq', 50)")
    assert legacy.save([board]) == Saved(1, 0)
    assert only(legacy) == board
    assert query("SELECT id, week_period, week_start_date::text FROM habit_tracker WHERE id > 1") == [
        (51, "2025년 7월 21일 ~ 2025년 7월 27일", "2025-07-21")
    ]


SUNDAYS = ("7월 27일", "7월 28일", "7월 29일", "7월 30일", "7월 31일", "8월 1일", "8월 2일")
PERIODS = [f"2025년 7월 {day}일 ~ 2025년 {last}" for day, last in enumerate(SUNDAYS, 21)]
"""How the seven weeks are called that begin within the week of `KEY`."""


def test_new_boards_of_children_of_one_name_share_out_the_periods_of_their_week(legacy: LegacyTableStore) -> None:
    mine, theirs = Board(KEY, theme="이쪽"), Board(KEY._replace(owner=OTHER_OWNER), theme="저쪽")
    insert(row(1, week_start_date="2025-07-14", week_period=PERIODS[1]))
    query("SELECT setval('habit_tracker_id_seq', 50)")
    assert legacy.save([theirs, mine, Board(KEY._replace(child="별이"))]) == Saved(3, 0)
    periods = query(
        "SELECT child_name, user_id, week_period, week_start_date::text FROM habit_tracker WHERE id > 1"
        " ORDER BY child_name, week_period"
    )
    first, second = sorted((OWNER, OTHER_OWNER))
    assert periods == [
        ("달이", first, PERIODS[0], "2025-07-21"),
        ("달이", second, PERIODS[2], "2025-07-21"),
        ("별이", OWNER, PERIODS[0], "2025-07-21"),
    ]
    assert legacy.load([mine.key, theirs.key]).by_key() == {mine.key: mine, theirs.key: theirs}
    assert legacy.save([theirs, mine]) == Saved(0, 2)


def test_a_new_board_whose_name_has_every_period_of_the_week_already_is_an_error_of_the_database(
    legacy: LegacyTableStore,
) -> None:
    insert(*(row(n, user_id=str(OTHER_OWNER), week_period=period) for n, period in enumerate(PERIODS[:6], 1)))
    query("SELECT setval('habit_tracker_id_seq', 50)")
    legacy.save([Board(KEY)])
    assert query("SELECT week_period FROM habit_tracker WHERE user_id = %s", OWNER) == [(PERIODS[6],)]
    legacy.delete([KEY])
    insert(row(8, user_id=None, week_period=PERIODS[6]))
    with pytest.raises(IntegrityError, match="week_period"), transaction.atomic():
        legacy.save([Board(KEY)])


def test_two_who_add_boards_of_children_of_one_name_at_once_both_succeed(committed: LegacyTableStore) -> None:
    with second_connection() as other:
        with other.transaction():
            other.execute(
                "INSERT INTO habit_tracker (child_name, week_period, user_id, week_start_date) VALUES (%s, %s, %s, %s)",
                [KEY.child, PERIODS[0], OTHER_OWNER, KEY.week_start],
            )
            mine = InThread(lambda: committed.save([Board(KEY)]))
            until_somebody_waits()
        assert mine.outcome() == Saved(1, 0)
    found = query("SELECT user_id, week_period FROM habit_tracker")
    assert set(found) == {(OTHER_OWNER, PERIODS[0]), (OWNER, PERIODS[1])}


def test_a_held_board_is_neither_written_nor_deleted(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2, habits=7))
    before = everything()
    with pytest.raises(DocumentHeld, match="Row 1 is in quarantine"):
        legacy.save([Board(KEY)])
    with pytest.raises(DocumentHeld):
        legacy.delete([KEY])
    assert everything() == before


def test_an_accepted_row_stays_where_it_is_when_its_board_is_written(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2, habits=7))
    (bad,) = [said for said in legacy.load([KEY]).rejections if said.held_by is None]
    store = LegacyTableStore(accepted=lambda rows: {bad.row: bad.fingerprint})
    store.save([replace(only(store), theme="x")])
    assert query("SELECT id, theme FROM habit_tracker ORDER BY id") == [(1, "x"), (2, "")]
    assert store.delete([KEY]) == 1
    assert query("SELECT id FROM habit_tracker") == [(2,)]


def test_deleting_archives_every_row_of_the_board(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2, child_name=NFD), row(3, child_name="별이"))
    assert legacy.delete([KEY, KEY._replace(child="아무도")]) == 1
    assert query("SELECT id FROM habit_tracker") == [(3,)]
    assert set(archived().values_list("row", flat=True)) == {"1", "2"}
    assert legacy.delete([KEY]) == 0


def test_absent_means_not_even_a_rejected_row(legacy: LegacyTableStore) -> None:
    insert(
        row(1, habits=7),
        row(2, child_name=f" {unicodedata.normalize('NFD', '별이')}"),
        row(3, child_name="솔이", week_start_date=None, week_period="2025년 7월 27일"),
    )
    keys = [KEY._replace(child=child) for child in ("달이", "별이", "솔이", "이슬")]
    later = KEY._replace(week_start=KEY.week_start.replace(day=28))
    assert legacy.absent([*keys, later]) == {keys[3], later}
    assert legacy.absent([]) == set()


@pytest.mark.parametrize("number", [2**63 - 1, 10**18, -7, -(2**63)])
def test_every_number_that_a_bigint_can_hold_is_the_id_of_a_row(legacy: LegacyTableStore, number: int) -> None:
    insert(row(number), row(0, child_name="별이", user_id=None))
    assert legacy.keys_of([str(number), str(2**63), str(-(2**63) - 1)]) == {str(number): KEY}
    (page,) = pages(legacy, 10)
    assert (page.rows, [link.row for link in page.links]) == (2, [str(number)])
    query("UPDATE habit_tracker SET user_id = NULL RETURNING id")
    assert [said.row for said in legacy.keyless([str(number)])] == [str(number)]
    assert legacy.assign_unit([str(number)], str(OWNER)) == 1


def test_rows_with_negative_ids_are_counted_rejected_and_merged_like_any_others(legacy: LegacyTableStore) -> None:
    insert(
        row(-3, habits=7), row(-2, child_name="별이"), row(-1, child_name="별이", theme="위"), row(0, child_name="솔이")
    )
    found = pages(legacy, 1)
    assert [page.rows for page in found] == [1, 1, 1, 1, 0]
    assert [(said.row, said.code) for page in found for said in page.rejections] == [("-3", "habits_malformed")]
    assert [merge.rows for page in found for merge in page.merges] == [("-1", "-2")]
    with transaction.atomic():
        assert legacy.scan(EVERYTHING, 10, claim=lambda keys: None).rows == 4
    assert [name for name, _ in legacy.fingerprints()] == ["-3", "-2", "-1", "0"]


def test_keys_are_read_from_the_rows_as_they_are_now(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2, user_id=None), row(3, habits=7))
    assert legacy.keys_of(["1", "2", "3", "4", "x", "²", "9" * 30]) == {"1": KEY, "2": None, "3": KEY}


def test_rows_without_a_key_say_why(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2, user_id=None), row(3, habits=7))
    assert [(said.row, said.code) for said in legacy.keyless(["1", "2", "3", "4"])] == [("2", "owner_missing")]


def test_an_owner_is_given_to_rows_that_have_none(legacy: LegacyTableStore) -> None:
    insert(row(1, user_id=None), row(2, user_id=None, child_name="별이"), row(3, child_name="솔이"))
    assert legacy.assign_unit(["1", "2"], str(OWNER)) == 2
    assert legacy.keys_of(["1"]) == {"1": KEY}


@pytest.mark.parametrize("owner", [UNKNOWN_OWNER, "엄마", ""])
def test_an_owner_nobody_knows_is_refused(legacy: LegacyTableStore, owner: str) -> None:
    insert(row(1, user_id=None))
    with pytest.raises(UnusableInput, match="no user"):
        legacy.assign_unit(["1"], owner)


def test_the_owner_of_a_row_never_changes(legacy: LegacyTableStore) -> None:
    insert(row(1, user_id=None), row(2))
    before = query("SELECT user_id FROM habit_tracker ORDER BY id")
    with pytest.raises(UnusableInput, match="Row 2 has an owner"):
        legacy.assign_unit(["1", "2"], str(OTHER_OWNER))
    assert query("SELECT user_id FROM habit_tracker ORDER BY id") == before


def test_a_sample_is_decided_by_its_seed_and_has_the_size_asked_for(legacy: LegacyTableStore) -> None:
    insert(*(row(number, child_name=f"아이{number // 2}") for number in range(2, 62)))
    sample = drawn(legacy, 10, 1)
    assert len({board.key for board in sample.documents}) == len(sample.documents) == 10
    assert drawn(legacy, 10, 1).documents == sample.documents
    assert drawn(legacy, 10, 2).documents != sample.documents
    assert len(drawn(legacy, 1000, 1).documents) == 30
    seen = {board.key for seed in range(40) for board in drawn(legacy, 10, seed).documents}
    assert len(seen) == 30


def test_a_sample_is_the_same_however_it_is_cut_into_pages(legacy: LegacyTableStore) -> None:
    insert(*(row(number, child_name=f"아이{number // 2}") for number in range(2, 62)))
    for size in (1, 10, 30, 31):
        samples = [drawn(legacy, size, 1, limit=limit).by_key() for limit in (1, 3, 1_000)]
        assert samples[0] == samples[1] == samples[2]
        assert len(samples[0]) == min(size, 30)


def test_every_board_has_the_same_chance_of_a_sample(legacy: LegacyTableStore) -> None:
    insert(*(row(number, child_name=f"아이{number}") for number in range(1, 21)))
    draws = 200
    counts = Counter(board.key for seed in range(draws) for board in drawn(legacy, 5, seed, limit=3).documents)
    expected, deviation = draws * 5 / 20, (draws * 5 / 20 * 15 / 20) ** 0.5
    assert len(counts) == 20
    assert all(abs(count - expected) < 4.5 * deviation for count in counts.values())


def test_a_sample_reports_the_rejected_rows_it_met(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2, child_name="별이", habits=7))
    assert [said.row for said in drawn(legacy, 10, 1).rejections] == ["2"]


def test_the_estimate_counts_where_there_are_no_statistics_and_scales_them_where_there_are(
    legacy: LegacyTableStore,
) -> None:
    insert(*(row(number) for number in range(1, 301)))
    assert legacy.estimate() == 300
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE habit_tracker")
    insert(*(row(number) for number in range(301, 1201)))
    estimate = legacy.estimate()
    assert estimate is not None
    assert 1000 < estimate < 1400


def test_fingerprints_change_with_the_content_alone(legacy: LegacyTableStore) -> None:
    insert(row(1), row(2, child_name="별이"))
    before = dict(legacy.fingerprints())
    query("UPDATE habit_tracker SET created_at = now() WHERE id = 1 RETURNING id")
    query("UPDATE habit_tracker SET reward = 'x' WHERE id = 2 RETURNING id")
    after = dict(legacy.fingerprints())
    assert (before["1"] == after["1"], before["2"] == after["2"]) == (True, False)
    assert legacy.version() is None


def test_clean_pages_cost_the_same_few_queries_whatever_their_size(legacy: LegacyTableStore) -> None:
    insert(*(row(number, child_name=f"아이{number}") for number in range(1, 401)))
    with CaptureQueriesContext(connection) as few:
        legacy.scan(EVERYTHING, 10)
    with CaptureQueriesContext(connection) as many:
        legacy.scan(EVERYTHING, 400)
    assert len(many) == len(few) <= 6


def test_the_table_is_created_as_production_has_it_and_left_alone_where_it_is(db: None) -> None:
    assert create_table()
    assert not create_table()
    insert(row(1, child_name="달이"))
    assert query(
        "SELECT column_name::text, data_type::text, is_nullable::text, column_default::text"
        " FROM information_schema.columns WHERE table_name = 'habit_tracker' ORDER BY ordinal_position"
    ) == [
        ("id", "bigint", "NO", "nextval('habit_tracker_id_seq'::regclass)"),
        ("child_name", "text", "NO", None),
        ("week_period", "text", "NO", "''::text"),
        ("theme", "text", "YES", None),
        ("habits", "jsonb", "YES", "'[]'::jsonb"),
        ("reflection", "jsonb", "YES", "'{}'::jsonb"),
        ("reward", "text", "YES", None),
        ("created_at", "timestamp with time zone", "YES", "now()"),
        ("updated_at", "timestamp with time zone", "YES", "now()"),
        ("week_start_date", "date", "YES", None),
        ("user_id", "uuid", "YES", None),
    ]
    changed = query("UPDATE habit_tracker SET theme = 'x' RETURNING updated_at = now()")
    assert changed == [(True,)]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(row(2, child_name="달이", week_period="row 1", user_id=str(OTHER_OWNER)))


def test_rejections_of_unknown_owners_know_the_key(legacy: LegacyTableStore) -> None:
    insert(row(1, user_id=UNKNOWN_OWNER))
    (said,) = legacy.scan(EVERYTHING, 10).rejections
    assert isinstance(said, Rejection)
    assert said.key == KEY._replace(owner=UUID(UNKNOWN_OWNER))
