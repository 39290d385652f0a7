"""The modern store on a real PostgreSQL: what is saved is what is loaded, and only what differs is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from habits.board import BLANK_WEEK, Board, BoardKey, Habit, Mark, Reflection, rename_habit
from habits.stores.habit_matching import matched
from habits.stores.modern import ModernStore
from habits.summary import summary
from migration_ops.backfill.errors import Kind, kind
from migration_ops.definition import Saved, Span
from tests.habits.strategies import boards, keys
from tests.sampling import drawn

OWNER = UUID("0b0e8d4e-7b1c-4f4e-9a55-0d6a5d0f3c11")
KEY = BoardKey(OWNER, "지우", date(2025, 7, 21))
GREEN: tuple[Mark, ...] = ("green",) * 7
TABLES = ("children", "weeks", "habits", "habit_records")

law = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))

store = ModernStore()


@contextmanager
def fresh_tables() -> Iterator[None]:
    """What is done inside is undone afterwards, so that every example starts from empty tables."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def query(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def versions() -> dict[tuple[str, UUID], tuple[Any, ...]]:
    """Every row with its physical place and the steps that wrote it: a row that was written again differs."""
    return {
        (table, row[0]): row[1:]
        for table in TABLES
        for row in query(f"SELECT id, ctid::text, xmin::text, cmin::text, xmax::text, updated_at FROM {table}")
    }


def content() -> list[tuple[Any, ...]]:
    """Everything a family would notice, straight from the tables, without ids and times."""
    return query(
        "SELECT c.user_id, c.name, w.user_id, w.week_start_date, w.week_end_date, w.theme, w.reward, w.reflection,"
        "       h.display_order, h.name, h.time_period, h.legacy_id, r.record_date, r.status"
        "  FROM weeks w JOIN children c ON c.id = w.child_id LEFT JOIN habits h ON h.week_id = w.id"
        "  LEFT JOIN habit_records r ON r.habit_id = h.id"
        " ORDER BY c.user_id, c.name, w.week_start_date, h.display_order, r.record_date"
    )


def counts() -> tuple[int, ...]:
    return tuple(query(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES)


def loaded(key: BoardKey) -> Board | None:
    return store.load([key]).by_key().get(key)


@pytest.mark.django_db
@law
@given(st.lists(boards(max_habits=20), min_size=1, max_size=5, unique_by=lambda board: board.key))
def test_whatever_board_is_saved_is_loaded_and_scanned_again(documents: list[Board]) -> None:
    with fresh_tables():
        assert store.save(documents) == Saved(written=len(documents))
        expected = {board.key: board for board in documents}
        assert store.load(list(expected)).by_key() == expected
        assert store.summaries(list(expected)) == {key: summary(board) for key, board in expected.items()}
        assert store.scan(Span(), 100).by_key() == expected
        for board in documents:
            again = loaded(board.key)
            assert again is not None
            assert [habit.legacy_id for habit in again.habits] == [habit.legacy_id for habit in board.habits]


@pytest.mark.django_db
@law
@given(boards())
def test_saving_the_same_board_again_writes_nothing(board: Board) -> None:
    with fresh_tables():
        store.save([board])
        before = versions()
        assert store.save([board]) == Saved(unchanged=1)
        assert versions() == before


@pytest.mark.django_db
@law
@given(st.data())
def test_any_board_becomes_any_other_as_if_it_had_been_saved_afresh(data: st.DataObject) -> None:
    key = data.draw(keys())
    one, other = data.draw(boards(key, max_habits=12)), data.draw(boards(key, max_habits=12))
    other = replace(other, habits=tuple(replace(habit, legacy_id=7) for habit in other.habits))
    with fresh_tables():
        store.save([other])
        afresh = content()
    with fresh_tables():
        store.save([one])
        before = versions()
        store.save([other])
        assert content() == afresh
        assert loaded(key) == other
        assert_only_differing_rows_were_written(before, one, other)


def assert_only_differing_rows_were_written(before: dict[Any, Any], one: Board, other: Board) -> None:
    """As many rows kept their version as the two boards have rows in common."""
    after = versions()
    kept = {row for row, version in before.items() if after.get(row) == version}
    same_week = (one.theme, one.reward, one.reflection) == (other.theme, other.reward, other.reflection)
    same_habits = same_marks = 0
    for position, source in enumerate(matched(one.habits, other.habits)):
        if source is not None:
            old, new = one.habits[source], other.habits[position]
            same_habits += source == position and (old, old.legacy_id) == (replace(new, times=old.times), new.legacy_id)
            same_marks += sum(a == b for a, b in zip(old.times, new.times, strict=True))
    by_table = {table: sum(row[0] == table for row in kept) for table in TABLES}
    # The week's row is locked, which leaves a mark on it, although nothing is written.
    weeks = query("SELECT updated_at FROM weeks")
    assert (weeks == [(version[-1],) for (table, _), version in before.items() if table == "weeks"]) == same_week
    assert (by_table["children"], by_table["habits"], by_table["habit_records"]) == (1, same_habits, same_marks)


@pytest.mark.django_db
def test_habits_that_change_places_do_not_collide() -> None:
    names = ["하나", "둘", "셋", "넷"]
    board = Board(KEY, habits=tuple(Habit(name, GREEN) for name in names))
    store.save([board])
    turned = replace(board, habits=board.habits[::-1])
    assert store.save([turned]) == Saved(written=1)
    assert loaded(KEY) == turned
    shorter = replace(turned, habits=turned.habits[1:3])
    store.save([shorter])
    assert loaded(KEY) == shorter
    assert counts() == (1, 1, 2, 14)


def by_name() -> dict[str, tuple[Any, ...]]:
    """Id and what only this side knows of each habit, by its name."""
    found = query(
        "SELECT h.name, h.id, h.created_at, array_agg(r.note ORDER BY r.record_date)"
        "  FROM habits h JOIN habit_records r ON r.habit_id = h.id GROUP BY h.id"
    )
    return {name: tuple(rest) for name, *rest in found}


@pytest.mark.django_db
@pytest.mark.parametrize("order", ["bacd", "dcba", "bcd", "d", "adbc", "xabcd", "bxd", "cxa"])
def test_a_habit_that_moves_takes_its_id_its_marks_and_their_notes_along(order: str) -> None:
    habits = {name: Habit(name, GREEN, legacy_id=number) for number, name in enumerate("abcdx")}
    store.save([Board(KEY, habits=tuple(habits[name] for name in "abcd"))])
    query("UPDATE habit_records r SET note = name || record_date FROM habits h WHERE h.id = habit_id")
    before, marks = by_name(), {row for row in versions().items() if row[0][0] == "habit_records"}
    board = Board(KEY, habits=tuple(habits[name] for name in order))
    assert store.save([board]) == Saved(written=1)
    assert loaded(KEY) == board
    after = by_name()
    assert {name: after[name] for name in order if name != "x"} == {name: before[name] for name in order if name != "x"}
    kept = marks & {row for row in versions().items() if row[0][0] == "habit_records"}
    assert len(kept) >= 7 * sum(name != "x" for name in order)


@pytest.mark.django_db
@pytest.mark.parametrize("ids", [(1, 2, 3), (None, None, None), (None, 5, None)])
@pytest.mark.parametrize("order", [(1, 2), (0, 2), (2,), (1, 0, 2), (2, 1, 0), (2, 0)])
def test_notes_stay_with_their_habit_when_one_of_equal_names_moves_or_goes(
    order: tuple[int, ...], ids: tuple[int | None, ...]
) -> None:
    weeks = (GREEN, BLANK_WEEK, ("red", *BLANK_WEEK[1:]))
    habits = [Habit("읽기", week, legacy_id=known) for week, known in zip(weeks, ids, strict=True)]
    store.save([Board(KEY, habits=tuple(habits))])
    query("UPDATE habit_records SET note = h.display_order FROM habits h WHERE h.id = habit_id")
    store.save([Board(KEY, habits=tuple(habits[number] for number in order))])
    assert query(
        "SELECT display_order, note FROM habits h JOIN habit_records r ON r.habit_id = h.id"
        " GROUP BY display_order, note ORDER BY display_order"
    ) == [(position, str(number)) for position, number in enumerate(order)]


@pytest.mark.django_db
def test_a_habit_with_a_new_name_is_recognised_by_its_legacy_id_and_then_by_its_position() -> None:
    store.save([Board(KEY, habits=(Habit("a", legacy_id=1), Habit("b", legacy_id=2), Habit("c")))])
    before = {name: row[0] for name, row in by_name().items()}
    store.save([Board(KEY, habits=(Habit("B", legacy_id=2), Habit("A", legacy_id=1), Habit("C")))])
    assert {name: row[0] for name, row in by_name().items()} == {name.upper(): row for name, row in before.items()}


@pytest.mark.django_db
def test_a_habit_moves_though_another_stands_at_the_highest_position_there_is() -> None:
    board = Board(KEY, habits=(Habit("a"), Habit("b"), Habit("c")))
    store.save([board])
    before = by_name()
    query("UPDATE habits SET display_order = 2147483647 WHERE name = 'a'")
    query("UPDATE habits SET display_order = 3 WHERE name = 'b'")
    store.save([board])
    assert (loaded(KEY), by_name()) == (board, before)


@pytest.mark.django_db
def test_a_changed_row_says_when_and_the_others_keep_their_time() -> None:
    board = Board(KEY, habits=(Habit("하나", GREEN), Habit("둘", GREEN)))
    store.save([board])
    query("UPDATE habits SET updated_at = '2001-01-01'")
    store.save([rename_habit(board, 1, "셋")])
    assert query("SELECT name, updated_at > '2001-01-01' FROM habits ORDER BY display_order") == [
        ("하나", False),
        ("셋", True),
    ]


@pytest.mark.django_db
def test_boards_fresh_changed_and_unchanged_are_saved_together() -> None:
    equal, changed, fresh = (
        Board(BoardKey(OWNER, name, KEY.week_start), habits=(Habit("물", GREEN),)) for name in ("a", "b", "c")
    )
    store.save([equal, changed])
    changed = replace(changed, theme="새로")
    assert store.save([fresh, equal, changed]) == Saved(written=2, unchanged=1)
    assert store.load([equal.key, changed.key, fresh.key]).by_key() == {
        board.key: board for board in (equal, changed, fresh)
    }


@pytest.mark.django_db
def test_a_legacy_id_that_is_known_better_now_is_kept_and_none_takes_nothing_away() -> None:
    store.save([Board(KEY, habits=(Habit("물", legacy_id=1),))])
    assert store.save([Board(KEY, habits=(Habit("물", legacy_id=1753000000000),))]) == Saved(written=1)
    assert store.save([Board(KEY, habits=(Habit("물"),))]) == Saved(unchanged=1)
    assert query("SELECT legacy_id FROM habits") == [(1753000000000,)]


@pytest.mark.django_db
def test_a_legacy_id_no_column_can_hold_is_left_out() -> None:
    board = Board(KEY, habits=(Habit("물", legacy_id=10**30),))
    store.save([board])
    assert query("SELECT legacy_id FROM habits") == [(None,)]
    assert store.save([board]) == Saved(unchanged=1)


@pytest.mark.django_db
def test_blank_and_null_texts_are_the_same() -> None:
    board = Board(KEY, habits=(Habit("물"),))
    store.save([board])
    query("UPDATE weeks SET theme = NULL, reward = NULL, reflection = NULL")
    query("UPDATE habits SET time_period = NULL")
    assert loaded(KEY) == board
    query('UPDATE weeks SET reflection = \'{"bestDay": null, "mood": ""}\'')
    assert loaded(KEY) == board
    assert store.save([board]) == Saved(unchanged=1)


@pytest.mark.django_db
def test_a_child_that_vanishes_meanwhile_shifts_no_board_to_another_child() -> None:
    query("CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    query("CREATE TRIGGER gone BEFORE INSERT ON children FOR EACH ROW WHEN (NEW.name = '나') EXECUTE FUNCTION gone()")
    documents = [Board(KEY._replace(child=child)) for child in ("가", "나", "다")]
    with pytest.raises(OperationalError, match="나") as refused, transaction.atomic():
        store.save(documents)
    assert kind(refused.value) is Kind.CONFLICT
    assert counts() == (0, 0, 0, 0)


@pytest.mark.django_db
def test_notes_pictures_and_templates_are_no_part_of_a_board() -> None:
    board = Board(KEY, habits=(Habit("물", GREEN),))
    store.save([board])
    query("UPDATE habit_records SET note = 'well done'")
    query("UPDATE children SET avatar_url = '/a.png', birth_date = '2018-05-05'")
    assert loaded(KEY) == board


DEFECTS = {
    "a mark outside the week": "UPDATE habit_records SET record_date = '2026-07-22' WHERE record_date = '2025-07-22'",
    "a mark too many": "INSERT INTO habit_records (habit_id, record_date) SELECT id, '2025-07-28' FROM habits",
    "a mark without a day": "UPDATE habit_records SET record_date = 'infinity' WHERE record_date = '2025-07-22'",
    "a missing mark": "DELETE FROM habit_records WHERE record_date = '2025-07-27'",
    "no marks at all": "DELETE FROM habit_records",
    "another colour": "UPDATE habit_records SET status = 'red' WHERE record_date = '2025-07-23'",
    "a colour nobody knows": "UPDATE habit_records SET status = 'blue' WHERE record_date = '2025-07-23'",
    "a status that looks like two": "UPDATE habit_records SET status = 'red,red' WHERE record_date = '2025-07-23'",
    "a wrong end of the week": "UPDATE weeks SET week_end_date = week_end_date + 1",
    "a week without end": "UPDATE weeks SET week_end_date = 'infinity'",
    "another owner than the child's": "UPDATE weeks SET user_id = gen_random_uuid()",
    "a gap between positions": "UPDATE habits SET display_order = 5 WHERE display_order = 1",
    "a negative position": "UPDATE habits SET display_order = -1 WHERE display_order = 0",
    "another name": "UPDATE habits SET name = name || ' ' WHERE display_order = 0",
    "another time of day": "UPDATE habits SET time_period = '밤' WHERE display_order = 0",
    "a missing habit": "DELETE FROM habits WHERE display_order = 1",
    "an answer to a question nobody asked": 'UPDATE weeks SET reflection = reflection || \'{"mood": "good"}\'',
    "an answer that is no text": "UPDATE weeks SET reflection = reflection || '{\"bestDay\": 5}'",
    "answers that are a list": "UPDATE weeks SET reflection = '[]'",
    "another theme": "UPDATE weeks SET theme = 'x'",
    "a blank that is not blank": "UPDATE weeks SET reward = ' '",
}
CHECKS = (
    ("habit_records", "habit_records_status_known"),
    ("habits", "habits_display_order_from_0"),
    ("weeks", "weeks_end_on_sunday"),
    ("weeks", "weeks_start_on_monday"),
    ("weeks", "weeks_reflection_is_object"),
)


@pytest.fixture
def no_checks(db: None) -> None:
    """As if somebody had dropped the check constraints."""
    for table, name in CHECKS:
        query(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


@pytest.mark.usefixtures("no_checks")
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_seen_and_the_next_save_mends_it(defect: str) -> None:
    board = Board(KEY, "바다", habits=(Habit("물", GREEN), Habit("책", BLANK_WEEK)))
    store.save([board])
    sound = content()
    query(DEFECTS[defect])
    assert loaded(KEY) != board
    assert store.summaries([KEY]) == {each.key: summary(each) for each in store.load([KEY]).documents}
    assert store.scan(Span(), 10).documents != [board]
    assert store.save([board]) == Saved(written=1)
    assert loaded(KEY) == board
    assert [row[:11] + row[12:] for row in content()] == [row[:11] + row[12:] for row in sound]


@pytest.mark.usefixtures("no_checks")
def test_a_week_that_does_not_start_on_monday_is_a_board_of_its_own() -> None:
    store.save([Board(KEY)])
    query("UPDATE weeks SET week_start_date = week_start_date + 1, week_end_date = week_end_date + 1")
    (found,) = store.scan(Span(), 10).documents
    assert found.key == KEY._replace(week_start=date(2025, 7, 22))
    assert found.anomalies
    assert store.load([found.key]).documents == [found]
    assert store.absent([KEY]) == {KEY}


@pytest.mark.django_db
def test_a_week_without_a_child_is_seen_by_scans_and_found_again_by_its_key() -> None:
    store.save([Board(KEY, habits=(Habit("물", GREEN),))])
    query("DELETE FROM children")
    (orphan,) = store.scan(Span(), 10).documents
    assert orphan.key != KEY
    assert orphan.anomalies
    assert store.load([orphan.key]).documents == [orphan]
    assert store.summaries([orphan.key]) == {orphan.key: summary(orphan)}
    assert store.absent([orphan.key, KEY]) == {KEY}
    assert store.delete([orphan.key]) == 1
    assert counts() == (0, 0, 0, 0)


@pytest.mark.django_db
def test_the_key_of_a_week_without_a_child_leads_nowhere_once_the_child_is_back() -> None:
    store.save([Board(KEY)])
    query("CREATE TEMPORARY TABLE gone ON COMMIT DROP AS SELECT * FROM children")
    query("DELETE FROM children")
    (orphan,) = store.scan(Span(), 10).documents
    query("INSERT INTO children SELECT * FROM gone")
    assert store.load([orphan.key]).documents == []
    assert store.absent([orphan.key]) == {orphan.key}
    assert store.delete([orphan.key]) == 0
    assert loaded(KEY) == Board(KEY)


@pytest.mark.django_db
def test_deleting_boards_takes_their_rows_and_leaves_the_children() -> None:
    other = KEY._replace(week_start=date(2025, 7, 28))
    store.save([Board(KEY, habits=(Habit("물"),)), Board(other, habits=(Habit("물"),))])
    assert store.delete([KEY, KEY._replace(child="nobody")]) == 1
    assert counts() == (1, 1, 1, 7)
    assert loaded(KEY) is None
    assert store.absent([KEY, other]) == {KEY}
    assert store.delete([]) == 0


def some_boards(number: int) -> list[Board]:
    return [
        Board(BoardKey(OWNER, f"child {index // 10}", KEY.week_start + timedelta(days=7 * (index % 10))))
        for index in range(number)
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100])
def test_spans_cover_everything_once_and_end_with_the_last_row(parts: int) -> None:
    documents = some_boards(25)
    for board in documents:
        store.save([board])
    spans = store.spans(parts)
    assert len(spans) <= parts
    assert spans[0].after is None
    seen: list[BoardKey] = []
    for span in spans:
        cursor: Any = span.after
        while True:
            page = store.scan(Span(cursor, span.until), 3)
            assert page.rows == len(page.documents)
            seen += [board.key for board in page.documents]
            if page.cursor is None:
                break
            cursor = page.cursor
    assert sorted(seen) == sorted(board.key for board in documents)


@pytest.mark.django_db
def test_an_empty_store_has_no_spans_and_no_pages() -> None:
    assert store.spans(4) == []
    page = store.scan(Span(), 10)
    assert (page.documents, page.cursor, page.rows) == ([], None, 0)
    assert drawn(store, 10, 1).documents == []
    assert store.estimate() == 0
    assert store.save([]) == Saved()


@pytest.mark.django_db
def test_a_sample_depends_on_the_seed_alone_and_every_board_comes_up() -> None:
    documents = some_boards(30)
    store.save(documents)
    chosen = [frozenset(board.key for board in drawn(store, 10, seed).documents) for seed in range(40)]
    assert all(len(keys) == 10 for keys in chosen)
    assert chosen[3] == frozenset(board.key for board in drawn(store, 10, 3).documents)
    assert len(set(chosen)) > 30
    assert frozenset.union(*chosen) == {board.key for board in documents}


@pytest.mark.django_db
def test_the_estimate_counts_what_was_never_analysed() -> None:
    store.save(some_boards(30))
    assert store.estimate() == 30


@pytest.mark.django_db
def test_a_claim_sees_the_keys_before_the_content_is_read_for_good() -> None:
    store.save([Board(KEY, theme="before")])
    claimed: list[BoardKey] = []

    def claim(keys: Any) -> None:
        claimed.extend(keys)
        query("UPDATE weeks SET theme = 'after'")

    page = store.scan(Span(), 10, claim=claim)
    assert claimed == [KEY]
    assert [board.theme for board in page.documents] == ["after"]


@pytest.mark.django_db
def test_a_board_that_gets_another_key_while_it_is_claimed_is_claimed_again() -> None:
    store.save([Board(KEY)])
    claimed: list[BoardKey] = []

    def claim(keys: Any) -> None:
        claimed.extend(keys)
        query("UPDATE children SET name = '하루'")

    page = store.scan(Span(), 10, claim=claim)
    assert claimed == [KEY, KEY._replace(child="하루")]
    assert [board.key.child for board in page.documents] == ["하루"]


@pytest.mark.django_db(transaction=True)
def test_two_transactions_that_save_the_same_new_children_both_succeed() -> None:
    meet = threading.Barrier(2, timeout=20)
    errors: list[BaseException] = []

    def save(week: int) -> None:
        try:
            with transaction.atomic():
                query("SELECT 1")
                meet.wait()
                names = [f"child {number}" for number in range(2_000)]
                ordered = names if week else names[::-1]
                monday = KEY.week_start + timedelta(days=7 * week)
                store.save([Board(BoardKey(OWNER, name, monday)) for name in ordered])
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=[week]) for week in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert counts() == (2_000, 4_000, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_locked_board_cannot_be_changed_by_another_transaction() -> None:
    store.save([Board(KEY)])
    states: list[str | None] = []

    def change() -> None:
        try:
            with transaction.atomic():
                query("SET LOCAL lock_timeout = '50ms'")
                query("UPDATE weeks SET theme = 'theirs'")
        except Exception as error:  # noqa: BLE001 - what it is, is what the test asks
            states.append(getattr(error.__cause__, "sqlstate", None))
        finally:
            connection.close()

    with transaction.atomic():
        assert store.load([KEY], lock=True).documents == [Board(KEY)]
        thread = threading.Thread(target=change)
        thread.start()
        thread.join(20)
    assert states == ["55P03"]


def violating(**changes: Any) -> Board:
    return replace(Board(KEY, habits=(Habit("물", GREEN),)), **changes)


@pytest.mark.django_db
@pytest.mark.parametrize("there", [False, True], ids=["fresh", "changed"])
@pytest.mark.parametrize(
    ("board", "error", "constraint"),
    [
        (violating(habits=(Habit(""),)), IntegrityError, "habits_name_length"),
        (violating(habits=(Habit("x" * 201),)), IntegrityError, "habits_name_length"),
        (violating(habits=(Habit("물", ("blue", *GREEN[1:])),)), IntegrityError, "habit_records_status_known"),  # type: ignore[arg-type]
        (violating(theme="a\x00b"), DataError, None),
        (violating(reflection=Reflection("\x00")), DataError, None),
        (violating(reward="\ud800"), DataError, None),
        (violating(habits=(Habit("\udfff"),)), DataError, None),
    ],
)
def test_what_the_database_refuses_is_a_database_error(
    board: Board, error: type[Exception], constraint: str | None, there: bool
) -> None:
    if there:
        store.save([Board(KEY, habits=(Habit("물"),))])
    with pytest.raises(error) as raised, transaction.atomic():
        store.save([board])
    if constraint:
        assert raised.value.__cause__ is not None
        assert raised.value.__cause__.diag.constraint_name == constraint  # type: ignore[attr-defined]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "constraint"),
    [
        (KEY._replace(child=""), "children_name_length"),
        (KEY._replace(child="x" * 101), "children_name_length"),
        (KEY._replace(week_start=date(2025, 7, 22)), "weeks_start_on_monday"),
        (KEY._replace(week_start=date(1999, 12, 27)), "weeks_start_in_range"),
        (KEY._replace(week_start=date(2101, 1, 3)), "weeks_start_in_range"),
    ],
)
def test_a_key_outside_the_rules_is_refused(key: BoardKey, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        store.save([Board(key)])


@pytest.mark.django_db
def test_the_same_key_twice_in_one_call_is_refused() -> None:
    with pytest.raises(IntegrityError, match="weeks_child_week_start_date_key"), transaction.atomic():
        store.save([Board(KEY), Board(KEY, theme="other")])


@pytest.mark.django_db
def test_ids_are_version_7_and_ascend_in_the_order_of_insertion() -> None:
    store.save([Board(KEY, habits=tuple(Habit(f"{number}", GREEN) for number in range(50)))])
    ids = [row[0] for row in query("SELECT id FROM habits ORDER BY display_order")]
    assert ids == sorted(ids)
    assert {identifier.version for identifier in ids} == {7}
    records = [
        row[0]
        for row in query(
            "SELECT r.id FROM habit_records r JOIN habits h ON h.id = r.habit_id ORDER BY display_order, record_date"
        )
    ]
    assert records == sorted(records)
    assert len(set(records)) == 350
