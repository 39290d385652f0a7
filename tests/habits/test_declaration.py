"""The declaration of the boards' migration: keys, comparison, codes, preflight."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from habits.board import BLANK, DAYS, Board, BoardKey, Habit, Mark, Reflection
from habits.comparison import differences, equal_marks, image, marks
from habits.migration import boards as migration
from habits.models import User
from habits.preflight import legacy_readable, owners_known
from habits.refusals import CODE_BY_COLUMN, CODE_BY_SQLSTATE, CODE_BY_TABLE, CODE_WHEREVER
from habits.stores.legacy_json import LegacyJsonStore
from habits.stores.legacy_schema import create_table
from habits.stores.legacy_table import LegacyTableStore
from habits.stores.modern import ModernStore
from migration_ops import registry
from migration_ops.definition import FieldDifference, Status
from migration_ops.exceptions import UnusableInput
from migration_ops.models import QuarantineItem
from migration_ops.sync import carry
from tests.habits import strategies

KEY = BoardKey(UUID("0b0e8d4e-7b1c-4f4e-9a55-0d6a5d0f3c11"), "지우", date(2025, 7, 21))
GREEN: tuple[Mark, ...] = ("green",) * 7
law = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

CONTRACT_CODES = [
    "owner_missing",
    "owner_unknown",
    "child_name_invalid",
    "week_unreadable",
    "habits_malformed",
    "habit_name_invalid",
    "times_malformed",
    "times_too_long",
    "status_unknown",
    "reflection_malformed",
    "text_invalid",
    "record_too_large",
    "duplicate_key",
]


def test_the_migration_of_boards_is_registered() -> None:
    assert registry.get("boards") is migration


@law
@given(strategies.keys())
def test_a_key_survives_as_canonical_text(key: BoardKey) -> None:
    text = migration.encode_key(key)
    assert migration.decode_key(text) == key
    assert json.loads(text) == [str(key.owner), key.child, key.week_start.isoformat()]
    assert migration.encode_key(migration.decode_key(text)) == text
    assert migration.unit(key) == str(key.owner)


def test_a_key_looks_as_agreed() -> None:
    key = KEY._replace(child='a"b, 👩‍👧')
    assert migration.encode_key(key) == '["0b0e8d4e-7b1c-4f4e-9a55-0d6a5d0f3c11","a\\"b, 👩‍👧","2025-07-21"]'


@law
@given(st.data())
def test_there_is_a_difference_exactly_when_boards_are_not_equal(data: st.DataObject) -> None:
    one = data.draw(strategies.boards(KEY, max_habits=6))
    other = data.draw(st.one_of(st.just(one), strategies.boards(KEY, max_habits=6), changed(one)))
    said = [each for each in differences(one, other) if not each.path.endswith(".legacy_id")]
    assert (said == []) == (one == other)
    assert differences(one, one) == []


@st.composite
def changed(draw: Any, board: Board) -> Board:
    """The board with one thing changed, or nothing."""
    text = draw(strategies.texts())
    position = draw(st.integers(0, max(0, len(board.habits) - 1)))
    change = draw(st.sampled_from(["theme", "reward", "reflection", "anomalies", "habit", "mark", "legacy_id"]))
    if change in ("theme", "reward"):
        return replace(board, **{change: text})
    if change == "reflection":
        return replace(board, reflection=replace(board.reflection, next_week_goal=text))
    if change == "anomalies":
        return replace(board, anomalies=(text,))
    if not board.habits:
        return board
    habit = board.habits[position]
    other = {
        "habit": replace(habit, name=text),
        "mark": replace(habit, times=(draw(st.one_of(st.none(), strategies.marks())), *habit.times[1:])),
        "legacy_id": replace(habit, legacy_id=draw(st.integers())),
    }[change]
    return replace(board, habits=(*board.habits[:position], other, *board.habits[position + 1 :]))


def test_differences_name_the_field_and_both_values() -> None:
    legacy = Board(
        KEY, "바다", "", Reflection("월"), (Habit("물", GREEN, "밤"), Habit("책", GREEN), Habit("셋", GREEN))
    )
    modern = Board(
        KEY,
        "산",
        "",
        Reflection("화"),
        (Habit("물 ", GREEN, ""), Habit("책", ("red", None, *GREEN[2:]))),
        ("weeks.user_id is wrong",),
    )
    assert differences(legacy, modern) == [
        FieldDifference("theme", "바다", "산"),
        FieldDifference("reflection.bestDay", "월", "화"),
        FieldDifference("habits.length", 3, 2),
        FieldDifference("habits[0].name", "물", "물 "),
        FieldDifference("habits[0].time_period", "밤", ""),
        FieldDifference("habits[1].times[0]", "green", "red"),
        FieldDifference("habits[1].times[1]", "green", None),
        FieldDifference("habits[2]", {"name": "셋", "time_period": "", "times": list(GREEN)}, None),
        FieldDifference("anomalies", [], ["weeks.user_id is wrong"]),
    ]


@pytest.mark.parametrize("modern", [2, None])
@pytest.mark.parametrize("legacy", [1, 0, -1, 2**63 - 1])
def test_a_legacy_id_that_modern_has_not_kept_is_a_difference(legacy: int, modern: int | None) -> None:
    one = Board(KEY, habits=(Habit("책", legacy_id=9), Habit("물", legacy_id=legacy)))
    other = Board(KEY, habits=(Habit("책", legacy_id=9), Habit("물", legacy_id=modern)))
    assert differences(one, other) == [FieldDifference("habits[1].legacy_id", legacy, modern)]
    assert (marks(one), equal_marks(one, other)) == (0, 0)


@pytest.mark.parametrize("legacy", [None, 2**63])
@pytest.mark.parametrize("modern", [2, None])
def test_where_legacy_has_no_id_that_modern_could_keep_it_is_none(legacy: int | None, modern: int | None) -> None:
    assert (
        differences(
            Board(KEY, habits=(Habit("물", legacy_id=legacy),)), Board(KEY, habits=(Habit("물", legacy_id=modern),))
        )
        == []
    )


@law
@given(strategies.boards(KEY, max_habits=8), strategies.boards(KEY, max_habits=8))
def test_equal_marks_are_at_most_the_marks_of_either(one: Board, other: Board) -> None:
    assert marks(one) == sum(cell != BLANK for habit in one.habits for cell in habit.times)
    assert equal_marks(one, one) == marks(one)
    assert equal_marks(one, other) == equal_marks(other, one) <= min(marks(one), marks(other))


def test_a_mark_counts_as_equal_only_in_the_same_place_with_the_same_colour() -> None:
    one = Board(
        KEY, habits=(Habit("물", ("green", "red", "none", "yellow", "none", "none", "none")), Habit("책", GREEN))
    )
    other = Board(KEY, habits=(Habit("다", ("green", "green", "none", None, "red", "none", "none")),))
    assert (marks(one), marks(other), equal_marks(one, other)) == (10, 3, 1)


@law
@given(strategies.boards(max_habits=4))
def test_an_image_is_json_and_holds_all_of_a_board(board: Board) -> None:
    shown = json.loads(json.dumps(image(board)))
    assert shown == image(board)
    assert (shown["owner"], shown["child"]) == (str(board.key.owner), board.key.child)
    assert [habit["legacy_id"] for habit in shown["habits"]] == [habit.legacy_id for habit in board.habits]
    assert all(len(habit["times"]) == DAYS for habit in shown["habits"])


def test_the_codes_are_those_of_the_contract() -> None:
    assert sorted(migration.rejection_codes) == sorted(CONTRACT_CODES)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("board", "code"),
    [
        (Board(KEY._replace(child="")), "child_name_invalid"),
        (Board(KEY._replace(child="x" * 101)), "child_name_invalid"),
        (Board(KEY._replace(week_start=date(1999, 1, 4))), "week_unreadable"),
        (Board(KEY._replace(week_start=date(2025, 7, 22))), "week_unreadable"),
        (Board(KEY, habits=(Habit("x" * 201),)), "habit_name_invalid"),
        (Board(KEY, habits=(Habit("물", ("blue", *GREEN[1:])),)), "status_unknown"),  # type: ignore[arg-type]
        (Board(KEY, theme="\x00"), "text_invalid"),
        (Board(KEY, reflection=Reflection("\x00")), "text_invalid"),
        (Board(KEY, theme="\ud800"), "text_invalid"),
    ],
)
def test_what_the_database_refuses_gets_the_code_that_comes_nearest(board: Board, code: str) -> None:
    with pytest.raises(DatabaseError) as raised, transaction.atomic():
        ModernStore().save([board])
    assert migration.code_for_error(raised.value) == code


@pytest.mark.django_db
def test_an_owner_without_an_account_is_unknown_once_foreign_keys_stand() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE children ADD CONSTRAINT children_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)"
        )
    with pytest.raises(DatabaseError) as raised, transaction.atomic():
        ModernStore().save([Board(KEY)])
    assert migration.code_for_error(raised.value) == "owner_unknown"


@pytest.mark.django_db
def test_every_code_for_an_error_is_a_code_of_the_migration() -> None:
    assert migration.code_for_error(DatabaseError("no cause")) in migration.rejection_codes
    codes = {*CODE_WHEREVER.values(), *CODE_BY_COLUMN.values(), *CODE_BY_SQLSTATE.values(), *CODE_BY_TABLE.values()}
    assert codes <= set(migration.rejection_codes)


FULL = Board(KEY, "우주", "피자", Reflection("월"), (Habit("아침 (6-9시) 물", GREEN, "아침 (6-9시)", 3),))


@pytest.mark.django_db
@pytest.mark.parametrize("before", [None, Board(KEY), Board(KEY, habits=(Habit("책"),))])
@pytest.mark.parametrize(
    ("table", "constraint", "code"),
    [
        ("weeks", "CHECK (theme <> '우주')", "text_invalid"),
        ("weeks", "CHECK (reward <> '피자' OR week_start_date < '2025-05-01')", "text_invalid"),
        ("weeks", "CHECK (reflection->>'bestDay' <> '월')", "reflection_malformed"),
        ("habits", "CHECK (name <> '아침 (6-9시) 물')", "habit_name_invalid"),
        ("habits", "CHECK (time_period = '')", "habits_malformed"),
        ("habits", "CHECK (legacy_id <> 3)", "habits_malformed"),
        ("habit_records", "CHECK (status <> 'green')", "status_unknown"),
        ("habits", "UNIQUE (name)", "duplicate_key"),
    ],
)
def test_a_constraint_nobody_knew_of_gets_the_code_of_its_columns(
    table: str, constraint: str, code: str, before: Board | None
) -> None:
    """Whether the board is fresh, or what stands there is changed."""
    others = [replace(FULL, key=KEY._replace(child="민서"))] if constraint.startswith("UNIQUE") else []
    ModernStore().save(others if before is None else [*others, before])
    execute(f"ALTER TABLE {table} ADD CONSTRAINT house_rule {constraint}")
    assert refusal(FULL) == code


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("table", "constraint", "code"),
    [
        ("children", "CHECK (name <> '지우')", "child_name_invalid"),
        ("children", f"CHECK (user_id <> '{KEY.owner}')", "owner_unknown"),
        ("weeks", f"CHECK (user_id <> '{KEY.owner}')", "owner_unknown"),
        ("weeks", "CHECK (week_start_date < '2025-01-01')", "week_unreadable"),
        ("weeks", "CHECK (week_end_date < '2025-01-01')", "week_unreadable"),
        ("habits", "CHECK (display_order > 0)", "habits_malformed"),
        ("habit_records", "CHECK (record_date < '2025-01-01')", "times_malformed"),
        ("weeks", "CHECK (pg_backend_pid() = 0)", "week_unreadable"),
    ],
)
def test_a_rule_for_new_rows_gets_the_code_of_its_columns_or_else_of_its_table(
    table: str, constraint: str, code: str
) -> None:
    execute(f"ALTER TABLE {table} ADD CONSTRAINT house_rule {constraint}")
    assert refusal(FULL) == code


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("weeks ALTER theme TYPE varchar(1)", "text_invalid"),
        ("habits ALTER name TYPE varchar(2)", "habit_name_invalid"),
        ("weeks ADD sticker int NOT NULL", "week_unreadable"),
        ("habits ADD sticker int NOT NULL", "habits_malformed"),
    ],
)
def test_a_column_that_takes_less_or_asks_for_more(change: str, code: str) -> None:
    execute(f"ALTER TABLE {change}")
    assert refusal(FULL) == code


@pytest.mark.django_db
def test_a_missing_value_gets_the_code_of_its_column() -> None:
    ModernStore().save([FULL])
    with pytest.raises(DatabaseError) as raised, transaction.atomic():
        execute("UPDATE habits SET name = NULL")
    assert migration.code_for_error(raised.value) == "habit_name_invalid"


@pytest.mark.django_db
def test_a_trigger_names_the_table_at_most() -> None:
    execute(
        "CREATE FUNCTION pg_temp.complain() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;"
        "CREATE TRIGGER complain BEFORE INSERT ON habits FOR EACH ROW EXECUTE FUNCTION pg_temp.complain()"
    )
    assert refusal(FULL) == "habits_malformed"


@pytest.mark.django_db
def test_what_is_set_aside_has_the_code_of_the_refused_column() -> None:
    """The constraint is asked about after the board was rolled back, within the transaction that sets it aside."""
    create_table()
    User.objects.create_user("parent@example.org", id=KEY.owner)
    LegacyTableStore().save([FULL])
    execute("ALTER TABLE weeks ADD CONSTRAINT house_rule CHECK (reward <> '피자')")
    with transaction.atomic():
        carry.from_legacy_or_set_aside(migration, [KEY], conflicts=(), at=timezone.now())
    item = QuarantineItem.objects.get()
    assert (item.code, "house_rule" in item.message) == ("text_invalid", True)


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def refusal(board: Board) -> str:
    """The code the board gets when the modern store refuses it."""
    with pytest.raises(DatabaseError) as raised, transaction.atomic():
        ModernStore().save([board])
    return migration.code_for_error(raised.value)


@pytest.mark.django_db
def test_every_foreign_key_of_the_models_is_declared() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = ANY(%s) AND column_name LIKE '%%\\_id'"
            "   AND data_type = 'uuid'",
            [list(migration.modern_tables)],
        )
        columns = set(cursor.fetchall())
    assert {(key.table, key.column) for key in migration.foreign_keys} == columns


def test_the_legacy_store_is_the_one_the_settings_name(settings: Any, tmp_path: Path) -> None:
    settings.LEGACY_BACKEND = "table"
    assert isinstance(migration.legacy(), LegacyTableStore)
    settings.LEGACY_BACKEND = "json"
    settings.VAR_DIR = tmp_path
    settings.LEGACY_JSON_PATH = str(tmp_path / "habit_tracker.json")
    assert isinstance(migration.legacy(), LegacyJsonStore)
    settings.LEGACY_JSON_PATH = ""
    with pytest.raises(UnusableInput, match="LEGACY_JSON_PATH"):
        migration.legacy()


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("parent@example.org", id=KEY.owner)


@pytest.fixture
def legacy_file(owner: User, settings: Any, tmp_path: Path) -> Path:
    settings.LEGACY_BACKEND = "json"
    settings.VAR_DIR = tmp_path
    settings.LEGACY_JSON_PATH = str(tmp_path / "habit_tracker.json")
    return tmp_path / "habit_tracker.json"


def row(number: int, user_id: str | None) -> dict[str, Any]:
    return {"id": number, "child_name": "지우", "week_start_date": "2025-07-21", "user_id": user_id, "habits": []}


STRANGER = "00000000-0000-4000-8000-000000000001"


def test_preflight_counts_rows_without_a_known_owner_in_a_file(legacy_file: Path) -> None:
    legacy_file.write_text(json.dumps([row(1, None), row(2, STRANGER), row(3, str(KEY.owner))]), encoding="utf-8")
    found = owners_known()
    assert found.status is Status.WARN
    assert "1 have no owner and 1 an owner without an account" in found.message
    assert "import_owners" in found.hint
    assert legacy_readable().status is Status.OK
    legacy_file.write_text(json.dumps([row(3, str(KEY.owner))]), encoding="utf-8")
    assert owners_known().status is Status.OK


@pytest.mark.parametrize("content", [None, "", "{", "[1,", "\x00"])
def test_preflight_fails_on_a_file_that_cannot_be_read(legacy_file: Path, content: str | None) -> None:
    if content is not None:
        legacy_file.write_text(content, encoding="utf-8")
    found = legacy_readable()
    assert found.status is Status.FAIL
    assert found.hint
    assert owners_known().status is Status.WARN


def test_preflight_counts_rows_without_a_known_owner_in_the_table(owner: User, settings: Any) -> None:
    settings.LEGACY_BACKEND = "table"
    assert legacy_readable().status is Status.FAIL
    assert owners_known().status is Status.WARN
    create_table()
    assert legacy_readable().status is Status.WARN
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO habit_tracker (child_name, week_period, week_start_date, user_id)"
            " VALUES ('a', '1', '2025-07-21', NULL), ('b', '2', '2025-07-21', %s), ('c', '3', '2025-07-21', %s)",
            [STRANGER, KEY.owner],
        )
    found = owners_known()
    assert found.status is Status.WARN
    assert "Of all rows, 1 have no owner and 1 an owner without an account" in found.message
    assert legacy_readable().status is Status.OK
