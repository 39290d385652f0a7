"""Legacy rows to boards and back: every code and every rule of the policy, and the laws."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habits.board import Board, BoardKey, Habit, add_habit, mark, move_habit, remove_habit, rename_habit, set_theme
from habits.stores.exact_json import UnreadableJson, decode_jsonb, decode_strict, encode
from habits.stores.legacy_boards import AssembledBoard, Assembly, assemble
from habits.stores.legacy_changes import new_record, week_period, write_back
from habits.stores.legacy_rows import ParsedRow, fingerprint_of
from habits.stores.legacy_verdict import CODES, parse
from migration_ops.definition import Conflict, Rejection
from tests.habits.legacy_strategies import KEY, OTHER_OWNER, OWNER, OWNERS, boards, law, records, rows_of_one_board

BLANK_TIMES = [""] * 7


def row(number: int = 1, **columns: Any) -> dict[str, Any]:
    return {
        "id": number,
        "child_name": "달이",
        "week_period": "2025년 7월 21일 ~ 2025년 7월 27일",
        "theme": "성장하는 나",
        "habits": [habit("양치하기", "green")],
        "reflection": {"bestDay": "", "easiestHabit": "", "nextWeekGoal": ""},
        "reward": "새 책",
        "week_start_date": "2025-07-21",
        "user_id": str(OWNER),
        **columns,
    }


def habit(name: Any, *times: Any, number: Any = 1, **keys: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "times": list(times) + [""] * (7 - len(times)), **keys}


def parsed(record: dict[str, Any]) -> ParsedRow:
    outcome = parse(record, OWNERS)
    assert isinstance(outcome, ParsedRow), outcome
    return outcome


def rejection(record: dict[str, Any]) -> Rejection[BoardKey]:
    outcome = parse(record, OWNERS, place="line 3")
    assert isinstance(outcome, Rejection), outcome
    return outcome


def assembled(*rows: dict[str, Any]) -> AssembledBoard:
    assembly = assemble([parsed(record) for record in rows])
    assert len(assembly.boards) == 1
    return assembly.boards[0]


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


REJECTED: list[tuple[str, dict[str, Any]]] = [
    ("record_too_large", {"habits": [habit("가", note=nested(40))]}),
    ("record_too_large", {"habits": [habit("가", number=nested(40))]}),
    ("record_too_large", {"reflection": {"mood": nested(40)}}),
    ("record_too_large", {"extra": nested(40)}),
    ("record_too_large", {"habits": [{"id": 1, "name": "가", "note": nested(40)}]}),
    ("record_too_large", {"habits": "[" * 5000 + "]" * 5000}),
    ("record_too_large", {"habits": '[{"id": ' + "9" * 5000 + "}]"}),
    ("record_too_large", {"habits": json.dumps([habit("가", note=nested(40))])}),
    ("duplicate_key", {"habits": '[{"name": "가", "name": "나"}]'}),
    ("duplicate_key", {"reflection": '{"bestDay": "", "bestDay": "월"}'}),
    ("duplicate_key", {"id": None}),
    ("duplicate_key", {"id": "17"}),
    ("duplicate_key", {"id": True}),
    ("duplicate_key", {"id": 2**63}),
    ("duplicate_key", {"id": 1.5}),
    ("text_invalid", {"theme": "a\x00"}),
    ("text_invalid", {"theme": 7}),
    ("text_invalid", {"reward": ["새 책"]}),
    ("text_invalid", {"child_name": "달\ud800"}),
    ("text_invalid", {"habits": [habit("가\ud800")]}),
    ("text_invalid", {"habits": '[{"name": "가\\u0000"}]'}),
    ("text_invalid", {"reflection": {"bestDay": "\x00"}}),
    ("owner_missing", {"user_id": None}),
    ("owner_missing", {"user_id": " "}),
    ("owner_unknown", {"user_id": "00000000-0000-4000-8000-00000000dead"}),
    ("owner_unknown", {"user_id": "엄마"}),
    ("owner_unknown", {"user_id": 5}),
    ("child_name_invalid", {"child_name": None}),
    ("child_name_invalid", {"child_name": " \n"}),
    ("child_name_invalid", {"child_name": "가" * 101}),
    ("child_name_invalid", {"child_name": 3}),
    ("week_unreadable", {"week_start_date": None, "week_period": "언젠가"}),
    ("week_unreadable", {"week_start_date": None, "week_period": "12월 30일 ~ 2025년 1월 5일"}),
    ("week_unreadable", {"week_start_date": None, "week_period": "2025년 13월 1일"}),
    ("week_unreadable", {"week_start_date": "", "week_period": ""}),
    ("week_unreadable", {"week_start_date": "infinity"}),
    ("week_unreadable", {"week_start_date": "-infinity"}),
    ("week_unreadable", {"week_start_date": "2025-07-21T00:00:00Z"}),
    ("week_unreadable", {"week_start_date": "2025-W30-1"}),
    ("week_unreadable", {"week_start_date": "2025-02-30"}),
    ("week_unreadable", {"week_start_date": "2000-01-01"}),
    ("week_unreadable", {"week_start_date": "2101-01-03"}),
    ("week_unreadable", {"week_start_date": "0001-01-01"}),
    ("week_unreadable", {"week_start_date": 20250721}),
    ("habits_malformed", {"habits": {"1": habit("가")}}),
    ("habits_malformed", {"habits": 7}),
    ("habits_malformed", {"habits": [habit("가"), "나"]}),
    ("habits_malformed", {"habits": '[{"name": "가'}),
    ("habits_malformed", {"habits": "null"}),
    ("habits_malformed", {"habits": '["가"]'}),
    ("habits_malformed", {"habits": "[NaN]"}),
    ("habit_name_invalid", {"habits": [habit(None)]}),
    ("habit_name_invalid", {"habits": [habit("\n ")]}),
    ("habit_name_invalid", {"habits": [habit("가" * 201)]}),
    ("habit_name_invalid", {"habits": [habit(3)]}),
    ("habit_name_invalid", {"habits": [{"id": 1, "times": BLANK_TIMES}]}),
    ("times_malformed", {"habits": [{"name": "가", "times": "green"}]}),
    ("times_malformed", {"habits": [{"name": "가", "times": {"0": "green"}}]}),
    ("times_malformed", {"habits": [{"name": "가", "times": 0}]}),
    ("times_too_long", {"habits": [{"name": "가", "times": [*BLANK_TIMES, "green"]}]}),
    ("times_too_long", {"habits": [{"name": "가", "times": [*BLANK_TIMES, "", "blue"]}]}),
    ("status_unknown", {"habits": [habit("가", "blue")]}),
    ("status_unknown", {"habits": [habit("가", "GREEN")]}),
    ("status_unknown", {"habits": [habit("가", " green")]}),
    ("status_unknown", {"habits": [habit("가", 1)]}),
    ("status_unknown", {"habits": [habit("가", True)]}),
    ("status_unknown", {"habits": [habit("가", False)]}),
    ("status_unknown", {"habits": [habit("가", ["green"])]}),
    ("reflection_malformed", {"reflection": ["월요일"]}),
    ("reflection_malformed", {"reflection": "좋았다"}),
    ("reflection_malformed", {"reflection": 0}),
    ("reflection_malformed", {"reflection": {"bestDay": 3}}),
    ("reflection_malformed", {"reflection": {"nextWeekGoal": []}}),
]


@pytest.mark.parametrize(("code", "columns"), REJECTED, ids=[f"{n}-{code}" for n, (code, _) in enumerate(REJECTED)])
def test_what_cannot_be_represented_gets_its_code_and_a_sentence(code: str, columns: dict[str, Any]) -> None:
    said = rejection(row(**columns))
    assert said.code == code
    assert said.message.rstrip().endswith((".", "…"))
    said.message.encode()
    said.raw.encode()
    assert "\x00" not in said.message + said.raw


def test_every_code_has_an_example() -> None:
    assert {code for code, _ in REJECTED} == set(CODES)


def test_the_first_reason_in_the_declared_order_wins() -> None:
    worst = row(
        theme=7,
        user_id=None,
        child_name="",
        week_start_date="infinity",
        habits=[habit("", "blue"), {"name": "가", "times": 3}],
        reflection=5,
    )
    cures: dict[str, dict[str, Any]] = {
        "text_invalid": {"theme": ""},
        "owner_missing": {"user_id": str(OWNER)},
        "child_name_invalid": {"child_name": "달이"},
        "week_unreadable": {"week_start_date": "2025-07-21"},
        "habit_name_invalid": {"habits": [habit("나", "blue"), {"name": "가", "times": 3}]},
        "times_malformed": {"habits": [habit("나", "blue")]},
        "status_unknown": {"habits": []},
        "reflection_malformed": {"reflection": None},
    }
    for code, cure in cures.items():
        assert rejection(worst).code == code
        worst |= cure
    parsed(worst)


def test_a_record_over_a_megabyte_is_too_large_whatever_it_says() -> None:
    outcome = parse(row(), OWNERS, size=1024 * 1024 + 1)
    assert isinstance(outcome, Rejection)
    assert (outcome.code, outcome.key) == ("record_too_large", KEY)
    assert isinstance(parse(row(), OWNERS, size=1024 * 1024), ParsedRow)


def test_a_rejected_row_still_knows_its_board_where_that_can_be_read() -> None:
    assert rejection(row(habits=7)).key == KEY
    assert rejection(row(user_id=None)).key is None
    assert rejection(row(week_start_date="infinity")).key is None


def test_a_row_without_a_usable_id_is_named_by_its_place() -> None:
    assert rejection(row(id=None)).row == "line 3"


def test_thirty_two_levels_are_possible_and_thirty_three_are_not() -> None:
    assert parsed(row(extra=nested(31)))
    assert rejection(row(extra=nested(32))).code == "record_too_large"


@pytest.mark.parametrize(
    ("day", "period", "monday"),
    [
        ("2025-07-21", "", "2025-07-21"),
        ("2025-07-27", "", "2025-07-21"),
        (date(2025, 7, 23), "", "2025-07-21"),
        ("2000-01-03", "", "2000-01-03"),
        ("2100-12-31", "", "2100-12-27"),
        ("2101-01-02", "", "2100-12-27"),
        (None, "2025년 1월 30일 ~ 2025년 2월 5일", "2025-01-27"),
        ("", " 2025년1월30일~", "2025-01-27"),
        (None, "2025년 7월 21일", "2025-07-21"),
        ("2025-07-21", "언젠가", "2025-07-21"),
    ],
)
def test_a_row_belongs_to_the_monday_on_or_before_its_date(day: Any, period: str, monday: str) -> None:
    key = parsed(row(week_start_date=day, week_period=period)).key
    assert key.week_start == date.fromisoformat(monday)


def test_columns_stay_under_their_weekday_whatever_day_the_week_began_on() -> None:
    assert parsed(row(week_start_date="2025-07-24")).board.habits[0].times[0] == "green"


@pytest.mark.parametrize("name", [" 달이", "달이\n", "\u3000달이\u00a0", "\u1103\u1161\u11af\u110b\u1175"])
def test_spellings_of_a_name_are_one_child(name: str) -> None:
    assert parsed(row(child_name=name)).key == KEY


@pytest.mark.parametrize("habits", [None, "", [], "[]"])
def test_no_habits_are_an_empty_board(habits: Any) -> None:
    assert parsed(row(habits=habits)).board.habits == ()
    without = row()
    del without["habits"]
    assert parsed(without).board.habits == ()


@pytest.mark.parametrize(
    "times", [None, [], ["", None, "none"], BLANK_TIMES, [*BLANK_TIMES, "", None, "none"], [None] * 7]
)
def test_blank_is_blank_in_every_spelling(times: Any) -> None:
    assert parsed(row(habits=[{"name": "가", "times": times}])).board.habits[0].times == ("none",) * 7
    assert parsed(row(habits=[{"name": "가"}])).board.habits[0].times == ("none",) * 7


@pytest.mark.parametrize("blank", [None, ""])
def test_blank_texts_are_the_same_blank(blank: Any) -> None:
    board = parsed(row(theme=blank, reward=blank, reflection=blank)).board
    assert (board.theme, board.reward) == ("", "")
    assert board == parsed(row(theme="", reward="", reflection={"bestDay": None})).board


def test_names_are_kept_as_they_are_duplicates_too() -> None:
    names = ["양치하기", "양치하기 ", "아침 (6-9시)\n양치하기", "줄넘기 {100회[목표]}", "양치하기"]
    board = parsed(row(habits=[habit(name) for name in names])).board
    assert [line.name for line in board.habits] == names
    assert [line.time_period for line in board.habits] == ["", "", "아침 (6-9시)", "", ""]


def test_habits_stored_as_json_text_are_read() -> None:
    assert parsed(row(habits=json.dumps([habit("가", "red")]))).board.habits[0].times[0] == "red"


def test_the_highest_id_leads_and_lower_rows_fill_what_is_blank() -> None:
    board = assembled(
        row(1, theme="첫째", reward="상", habits=[habit("나", "", "", "red"), habit(" 가", "red", "red", "red")]),
        row(3, theme="", reward=None, habits=[habit("가", "green"), habit("다")]),
        row(2, theme="둘째", reward="", habits=[habit("가 ", "yellow", "yellow")]),
    )
    assert [line.name for line in board.board.habits] == ["가", "다", "나"]
    assert board.board.habits[0].times[:3] == ("green", "yellow", "red")
    assert (board.board.theme, board.board.reward) == ("둘째", "상")
    assert [part.id for part in board.rows] == [3, 2, 1]
    assert board.conflicts == (
        Conflict("habits[0].times[0]", "green", "yellow", "2"),
        Conflict("theme", "둘째", "첫째", "1"),
        Conflict("habits[0].times[0]", "green", "red", "1"),
        Conflict("habits[0].times[1]", "yellow", "red", "1"),
    )


def test_habits_of_one_name_are_matched_first_to_first_and_second_to_second() -> None:
    board = assembled(
        row(2, habits=[habit("가", "green"), habit("나"), habit("가")]),
        row(1, habits=[habit("가"), habit("가", "red"), habit("가", "yellow")]),
    ).board
    assert [(line.name, line.times[0]) for line in board.habits] == [
        ("가", "green"),
        ("나", "none"),
        ("가", "red"),
        ("가", "yellow"),
    ]


def test_reflection_answers_are_taken_one_by_one() -> None:
    board = assembled(row(2, reflection={"bestDay": "월"}), row(1, reflection={"bestDay": "화", "nextWeekGoal": "책"}))
    assert (board.board.reflection.best_day, board.board.reflection.next_week_goal) == ("월", "책")
    assert board.conflicts == (Conflict("reflection.bestDay", "월", "화", "1"),)


def held(assembly: Assembly) -> dict[str, tuple[str | None, bool]]:
    return {said.row: (said.held_by, said.accepted) for said in assembly.rejections}


def test_a_rejected_row_holds_the_others_of_its_board_and_no_other_board() -> None:
    outcomes = [
        parse(row(1), OWNERS),
        parse(row(2, habits=[habit("가", "blue")]), OWNERS),
        parse(row(3, child_name="별이"), OWNERS),
        parse(row(4, user_id=str(OTHER_OWNER)), OWNERS),
    ]
    assembly = assemble(outcomes)
    assert held(assembly) == {"1": ("2", False), "2": (None, False)}
    assert assembly.rejections[0].message == ("Held because row 2 of the same board is in quarantine (status_unknown).")
    assert assembly.rejections[0].code == "status_unknown"
    assert [board.rows[0].id for board in assembly.boards] == [3, 4]


def test_an_accepted_row_holds_nothing_until_it_changes() -> None:
    bad = rejection(row(2, habits=[habit("가", "blue")]))
    assembly = assemble([parse(row(1), OWNERS), bad], {"2": bad.fingerprint})
    assert held(assembly) == {"2": (None, True)}
    assert len(assembly.boards) == 1
    changed = rejection(row(2, habits=[habit("가", "violet")]))
    assert held(assemble([parse(row(1), OWNERS), changed], {"2": bad.fingerprint})) == {
        "1": ("2", False),
        "2": (None, False),
    }


def test_a_fingerprint_is_of_the_content_and_not_of_the_time_it_was_saved() -> None:
    assert fingerprint_of(row(updated_at="2025")) == fingerprint_of(row(updated_at="2026"))
    assert fingerprint_of(dict(reversed(row().items()))) == fingerprint_of(row())
    assert fingerprint_of(row(theme="x")) != fingerprint_of(row())


def test_a_page_counts_each_of_its_rows_once() -> None:
    outcomes = [parse(row(1), OWNERS), parse(row(2), OWNERS), parse(row(3, child_name="별이", habits=3), OWNERS)]
    assembly = assemble(outcomes)
    lower, higher = assembly.page({"1", "3"}, 3), assembly.page({"2"}, None)
    assert (lower.rows, len(lower.documents), lower.merged_rows, len(lower.rejections)) == (2, 0, 1, 1)
    assert (higher.rows, len(higher.documents), higher.merged_rows, len(higher.rejections)) == (1, 1, 0, 0)
    assert [merge.rows for merge in higher.merges] == [("2", "1")]
    assert [link.row for link in lower.links + higher.links] == ["1", "2"]


def test_a_written_row_keeps_everything_that_did_not_change() -> None:
    record = row(
        theme=None,
        habits=[
            habit("가", None, "none", number=1753217615917, color="red"),
            {"id": 0, "name": "나", "times": ["green"]},
            {"name": "다"},
        ],
        reflection={"bestDay": None, "mood": {"x": 1}},
    )
    current = assembled(record)
    change = write_back(current, mark(mark(current.board, 0, 2, "green"), 1, 1, "red"))
    assert list(change.changes) == ["habits"]
    assert change.changes["habits"] == [
        habit("가", None, "none", "green", number=1753217615917, color="red"),
        {"id": 0, "name": "나", "times": ["green", "red", "", "", "", "", ""]},
        {"name": "다"},
    ]
    answered = replace(current.board, reflection=replace(current.board.reflection, easiest_habit="가"))
    assert write_back(current, answered).changes == {
        "reflection": {"bestDay": None, "mood": {"x": 1}, "easiestHabit": "가"}
    }


def test_ids_and_unknown_keys_follow_a_habit_that_is_moved_or_renamed() -> None:
    current = assembled(
        row(habits=[habit("가", number=5, c=1), habit("나", number=6, c=2), habit("가", "red", number=7, c=3)])
    )
    moved = rename_habit(move_habit(current.board, 2, 0), 2, "새 이름")
    entries = write_back(current, moved).changes["habits"]
    assert [(entry["name"], entry["c"]) for entry in entries] == [("가", 3), ("가", 1), ("새 이름", 2)]
    assert [entry["times"][0] for entry in entries] == ["red", "", ""]


def test_of_two_habits_with_one_name_the_one_that_stays_in_its_place_keeps_its_id() -> None:
    current = assembled(row(habits=[habit("가", number=5), habit("가", "red", number=6)]))
    replaced = replace(current.board, habits=(Habit("다"), current.board.habits[1]))
    stripped = replace(replaced, habits=tuple(replace(line, legacy_id=None) for line in replaced.habits))
    assert [entry["id"] for entry in write_back(current, stripped).changes["habits"]] == [5, 6]


def test_a_habit_without_its_name_is_recognised_by_its_legacy_id() -> None:
    current = assembled(row(habits=[habit("가", number=5, c=1), habit("나", number=6, c=2)]))
    swapped = rename_habit(rename_habit(move_habit(current.board, 0, 1), 0, "라"), 1, "마")
    entries = write_back(current, swapped).changes["habits"]
    assert [(entry["name"], entry["id"], entry["c"]) for entry in entries] == [("라", 6, 2), ("마", 5, 1)]


def test_a_new_habit_gets_an_id_of_its_own() -> None:
    current = assembled(row(habits=[habit("가", number=5), habit("나", number=1)]))
    entries = write_back(current, add_habit(current.board, "다")).changes["habits"]
    assert entries[2] == {"name": "다", "id": 6, "times": BLANK_TIMES}
    assert entries[:2] == current.entries


def test_a_removed_habit_is_gone_and_the_others_keep_their_ids() -> None:
    current = assembled(row(habits=[habit("가", number=5), habit("나", number=1), habit("다", number=9)]))
    assert [entry["id"] for entry in write_back(current, remove_habit(current.board, 1)).changes["habits"]] == [5, 9]


def test_a_changed_merged_board_is_written_to_its_leading_row_and_the_others_go() -> None:
    current = assembled(row(2, habits=[habit("가", number=1)]), row(1, habits=[habit("나", "red", number=1, c=3)]))
    change = write_back(current, set_theme(current.board, "새 주제"))
    assert [part.id for part in change.removed] == [1]
    assert change.changes["theme"] == "새 주제"
    assert change.changes["habits"] == [habit("가", number=1), habit("나", "red", number=2, c=3)]


def test_text_that_holds_the_habits_stays_text_while_they_stay_the_same() -> None:
    current = assembled(row(habits=json.dumps([habit("가")])))
    assert "habits" not in write_back(current, set_theme(current.board, "x")).changes
    assert isinstance(write_back(current, mark(current.board, 0, 0, "red")).changes["habits"], list)


def test_a_board_that_legacy_lacks_becomes_a_row_under_its_monday() -> None:
    board = mark(add_habit(add_habit(Board(KEY, theme="주제"), "가"), "나"), 1, 6, "yellow")
    assert new_record(board) == {
        "child_name": "달이",
        "week_period": "2025년 7월 21일 ~ 2025년 7월 27일",
        "theme": "주제",
        "habits": [
            {"id": 1, "name": "가", "times": BLANK_TIMES},
            {"id": 2, "name": "나", "times": [""] * 6 + ["yellow"]},
        ],
        "reflection": {"bestDay": "", "easiestHabit": "", "nextWeekGoal": ""},
        "reward": "",
        "week_start_date": "2025-07-21",
        "user_id": str(OWNER),
    }


def test_a_week_period_reads_as_the_legacy_app_writes_it() -> None:
    assert week_period(date(2024, 12, 30), date(2025, 1, 5)) == "2024년 12월 30일 ~ 2025년 1월 5일"


def test_numbers_come_back_digit_by_digit() -> None:
    text = '[{"id": 1, "w": 0.1234567890123456789, "x": 1.5, "y": 100000000000000000000000000.25}]'
    value = decode_jsonb(text)
    assert isinstance(value[0]["w"], Decimal)
    assert encode(value) == text


@pytest.mark.parametrize(
    ("text", "code"), [('{"a": 1, "a": 2}', "duplicate_key"), ("[" * 9999, "record_too_large"), ("[1,", "")]
)
def test_text_that_is_no_json_says_what_it_amounts_to(text: str, code: str) -> None:
    with pytest.raises(UnreadableJson) as raised:
        decode_strict(text)
    assert raised.value.code == code


@law
@given(records())
def test_every_row_that_keeps_the_policy_is_a_board(record: dict[str, Any]) -> None:
    assert parsed(record).key == KEY


@law
@given(rows_of_one_board(), st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_the_order_of_the_rows(rows: list[dict[str, Any]], order: random.Random) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert assemble(map(parsed, rows)) == assemble(map(parsed, shuffled))


@law
@given(rows_of_one_board())
def test_merging_drops_no_mark(rows: list[dict[str, Any]]) -> None:
    merged = assembled(*rows)
    said = {(path, kept) for path, kept, _ in _marks(merged.board)}
    for part in merged.rows:
        conflicts = {(c.path, c.dropped) for c in merged.conflicts if c.row == part.row}
        taken: set[int] = set()
        for _, _, name in _marks(part.board):
            assert any(line.name.strip() == name for line in merged.board.habits)
        for line in part.board.habits:
            position = next(
                place
                for place, other in enumerate(merged.board.habits)
                if place not in taken and other.name.strip() == line.name.strip()
            )
            taken.add(position)
            for day, cell in enumerate(line.times):
                path = f"habits[{position}].times[{day}]"
                assert cell == "none" or (path, cell) in said or (path, str(cell)) in conflicts


def _marks(board: Board) -> list[tuple[str, str, str]]:
    return [
        (f"habits[{position}].times[{day}]", str(cell), line.name.strip())
        for position, line in enumerate(board.habits)
        for day, cell in enumerate(line.times)
        if cell != "none"
    ]


def written(current: AssembledBoard, board: Board) -> list[dict[str, Any]]:
    """The rows after a write-back."""
    change = write_back(current, board)
    gone = {part.id for part in change.removed}
    rows = [dict(part.record) for part in current.rows if part.id not in gone]
    rows[0] |= change.changes
    return rows


@law
@given(rows_of_one_board())
def test_writing_back_an_unchanged_board_changes_nothing(rows: list[dict[str, Any]]) -> None:
    current = assembled(*rows)
    assert not write_back(current, current.board)
    assert not write_back(current, replace(current.board))


@law
@given(rows_of_one_board(), boards())
def test_what_is_written_is_read_again_and_writing_it_twice_changes_nothing(
    rows: list[dict[str, Any]], board: Board
) -> None:
    before = deepcopy(rows)
    again = assembled(*written(assembled(*rows), board))
    assert again.board == board
    assert not write_back(again, board)
    assert rows == before


@law
@given(rows_of_one_board(), boards())
def test_writing_keeps_id_dates_and_unknown_keys_of_the_leading_row(rows: list[dict[str, Any]], board: Board) -> None:
    current = assembled(*rows)
    leader = current.rows[0].record
    row_now = written(current, board)[0]
    untouched = set(leader) - {"theme", "reward", "habits", "reflection"}
    assert {name: row_now[name] for name in untouched} == {name: leader[name] for name in untouched}
    if isinstance(leader["reflection"], dict) and "mood" in leader["reflection"]:
        assert row_now["reflection"]["mood"] == leader["reflection"]["mood"]


@law
@given(records(), st.data())
def test_every_habit_that_stays_keeps_its_entry_wherever_it_moves(record: dict[str, Any], data: st.DataObject) -> None:
    current = assembled(record)
    names = [line.name for line in current.board.habits]
    if len(set(names)) == len(names) and names:
        order = data.draw(st.permutations(range(len(names))))
        board = replace(current.board, habits=tuple(current.board.habits[place] for place in order))
        entries = written(current, board)[0].get("habits")
        if list(order) != sorted(order):
            assert entries == [current.entries[place] for place in order]


@law
@given(boards())
def test_a_new_row_says_what_its_board_says(board: Board) -> None:
    assert assembled({"id": 1, **new_record(board)}).board == board
