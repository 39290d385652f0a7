"""The store behind a JSON file: what it reads, how it names faults, and what it writes."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from habits.board import Board, BoardKey, Habit, mark
from habits.stores.legacy_json import LegacyJsonStore
from migration_ops.definition import Rejection, Span
from migration_ops.exceptions import DocumentHeld, UnusableInput
from migration_ops.models import BeforeImage
from tests.habits.legacy_files import OTHER, OWNER, STRANGER, create_owners, pages, read, row, write
from tests.sampling import drawn

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _surroundings(settings: Any, tmp_path: Path, db: None) -> None:
    settings.VAR_DIR = tmp_path / "var"
    create_owners()


@pytest.fixture(params=["rows.json", "rows.ndjson"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def only(store: LegacyJsonStore) -> Board:
    (page,) = pages(store, 100)
    (board,) = page.documents
    return board


def index_of(folder: Path) -> list[tuple[Any, ...]]:
    """What the only index there is says of the records, in the order of the file."""
    (index,) = folder.glob("*.sqlite3")
    columns = "position, start, length, digest, key, owner, fingerprint, fault"
    with closing(sqlite3.connect(index)) as connection:
        return connection.execute(f"SELECT {columns} FROM record ORDER BY start").fetchall()


def rejections(store: LegacyJsonStore, limit: int = 100) -> dict[str, Rejection[BoardKey]]:
    return {rejection.row: rejection for page in pages(store, limit) for rejection in page.rejections}


def test_every_row_is_read_once_and_counts_add_up_on_every_page(path: Path) -> None:
    rows = [
        row(5, child_name="a"),
        row(1, child_name="b"),
        row(9, child_name="a", theme="leader"),
        row(3, child_name="c", user_id=None),
        row(7, child_name="d", habits=[{"id": 1, "name": "x", "times": ["blue"]}]),
        row(8, child_name="d"),
        {"child_name": "no id"},
        [1, 2],
    ]
    for limit in (1, 2, 3, 100):
        found = pages(write(path, rows), limit)
        for page in found:
            assert page.rows == len(page.documents) + page.merged_rows + len(page.rejections)
            assert len(page.links) == len(page.documents) + page.merged_rows
        assert sum(page.rows for page in found) == len(rows)
        assert [board.key.child for page in found for board in page.documents] == ["b", "a"]
        assert [merge.rows for page in found for merge in page.merges] == [("9", "5")]
        codes = {r.row: (r.code, r.held_by) for page in found for r in page.rejections}
        assert codes == {
            "#7": ("duplicate_key", None),
            "#8": ("habits_malformed", None),
            "3": ("owner_missing", None),
            "7": ("status_unknown", None),
            "8": ("status_unknown", "7"),
        }


def test_a_row_whose_id_another_has_too_is_never_guessed(path: Path) -> None:
    store = write(path, [row(4, theme="first"), row(5, child_name="b"), row(4, theme="second"), row(6)])
    found = rejections(store)
    assert {name: (r.code, r.held_by) for name, r in found.items()} == {
        "#1": ("duplicate_key", None),
        "#3": ("duplicate_key", None),
        "6": ("duplicate_key", "#1"),
    }
    assert "the id 4" in found["#1"].message
    assert found["#1"].key == store.keys_of(["6"])["6"]
    assert store.keys_of(["#1", "4", "5", "nobody", "#99"]).keys() == {"#1", "5"}


def test_a_person_who_accepts_a_rejected_row_releases_its_board(path: Path) -> None:
    rows = [row(1, theme="good"), row(2, habits="nonsense")]
    culprit = rejections(write(path, rows))["2"]
    store = LegacyJsonStore(path, accepted=lambda names: {"2": culprit.fingerprint} if "2" in names else {})
    (page,) = pages(store, 10)
    assert [board.theme for board in page.documents] == ["good"]
    assert [(r.row, r.accepted) for r in page.rejections] == [("2", True)]
    write(path, [rows[0], row(2, habits="other nonsense")])
    assert rejections(store).keys() == {"1", "2"}


def test_records_that_are_wrong_as_such_are_rejected_with_their_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    sound = json.dumps(row(1))
    twice = json.dumps(row(2, child_name="b"))[:-1] + ', "theme": "again"}'
    not_finite = json.dumps(row(3, child_name="c")).replace('"habits": [{"id": 1', '"habits": [{"id": NaN')
    large = json.dumps(row(4, child_name="d", theme="x" * 1024 * 1024))
    null = json.dumps(row(5, child_name="e")).replace('"theme": ""', '"theme": "\x00"')
    ambiguous = json.dumps(row(6, child_name="f"))[:-1] + ', "id": 7}'
    path.write_text(f"[{sound},{twice},{not_finite},{large},{null},{ambiguous}]", encoding="utf-8")
    store = LegacyJsonStore(path, accepted=lambda rows: {})
    found = rejections(store)
    assert {name: r.code for name, r in found.items()} == {
        "2": "duplicate_key",
        "3": "habits_malformed",
        "4": "record_too_large",
        "5": "text_invalid",
        "#6": "duplicate_key",
    }
    assert found["2"].raw == twice
    assert found["2"].key is not None
    assert found["2"].key.child == "b"
    assert len(found["4"].raw) < 2_000
    assert found["4"].key is not None
    assert found["4"].key.child == "d"


def test_in_a_file_a_negative_id_names_no_row(path: Path) -> None:
    store = write(path, [row(-5), row(-1, child_name="b"), row(0, child_name="c")])
    for limit in (1, 100):
        assert {name: r.code for name, r in rejections(store, limit).items()} == {
            "#1": "duplicate_key",
            "#2": "duplicate_key",
        }
    assert store.keys_of(["-5", "-1", "0"]).keys() == {"0"}


def members(number: int, **columns: Any) -> list[str]:
    """The members of a row's text, one by one."""
    return [json.dumps({name: value})[1:-1] for name, value in row(number, **columns).items()]


LARGE = json.dumps({"notes": "x" * 2 * 1024 * 1024})[1:-1]
LARGE_NESTED = json.dumps({"notes": [{"id": 77, "user_id": str(STRANGER), "notes": {"id": 78}}] * 30_000})[1:-1]
DEEP = '"notes": ' + '{"id": 77, "a": [' * 5_000 + "]}" * 5_000


def write_texts(path: Path, texts: list[str]) -> LegacyJsonStore:
    lines = path.suffix == ".ndjson"
    path.write_text("\n".join(texts) if lines else f"[{','.join(texts)}]", encoding="utf-8")
    return LegacyJsonStore(path, accepted=lambda rows: {})


@pytest.mark.parametrize("filling", [LARGE, LARGE_NESTED, DEEP], ids=["large", "nested", "deep"])
@pytest.mark.parametrize("place", ["first", "last", "between", "escaped"])
def test_a_record_too_large_to_be_held_keeps_its_row_and_its_board(path: Path, filling: str, place: str) -> None:
    own = members(7)
    texts = {
        "first": [*own, filling],
        "last": [filling, *own],
        "between": [filling, *own, filling.replace("notes", "more notes")],
        "escaped": [filling, *(part.replace('"id"', '"\\u0069d"', 1) for part in own)],
    }
    culprit = "{" + ", ".join(texts[place]) + "}"
    others = [json.dumps(row(9)), json.dumps(row(3)), json.dumps(row(8, child_name="other"))]
    store = write_texts(path, [others[0], culprit, *others[1:]])
    for limit in (1, 100):
        found = rejections(store, limit)
        assert {name: (r.code, r.held_by) for name, r in found.items()} == {
            "3": ("record_too_large", "7"),
            "7": ("record_too_large", None),
            "9": ("record_too_large", "7"),
        }
    assert [board.key.child for page in pages(store, 1) for board in page.documents] == ["other"]
    assert found["7"].key == store.keys_of(["3"])["3"] == store.keys_of(["7"])["7"]
    assert store.spans(1)[-1].until == 9
    with pytest.raises(DocumentHeld, match="Row 7 "):
        store.delete([store.keys_of(["3"])["3"]])


def test_a_record_too_large_to_be_held_releases_its_board_when_accepted(path: Path) -> None:
    others = [json.dumps(row(1)), json.dumps(row(2))]
    culprit = "{" + ", ".join([LARGE, *members(7)]) + "}"
    print_of = rejections(write_texts(path, [culprit, *others]))["7"].fingerprint
    store = LegacyJsonStore(path, accepted=lambda names: {"7": print_of} if "7" in names else {})
    (page,) = pages(store, 10)
    assert {link.row for link in page.links} == {"1", "2"}
    assert [(r.row, r.accepted) for r in page.rejections] == [("7", True)]
    store.save([replace(page.documents[0], theme="new")])
    assert only(store).theme == "new"
    assert rejections(store)["7"].accepted
    write_texts(path, [culprit.replace("xxx", "xyx", 1), *others])
    assert rejections(store).keys() == {"1", "2", "7"}


def test_a_record_too_large_to_be_held_that_says_two_ids_has_none(path: Path) -> None:
    culprit = "{" + ", ".join([*members(7), LARGE, '"\\u0069d": 8']) + "}"
    found = rejections(write_texts(path, [json.dumps(row(7)), culprit]))
    assert {name: (r.code, r.held_by) for name, r in found.items()} == {
        "#2": ("record_too_large", None),
        "7": ("record_too_large", "#2"),
    }


def test_a_record_too_large_to_be_held_shares_its_id_with_no_other(path: Path) -> None:
    culprit = "{" + ", ".join([LARGE, *members(7, child_name="a")]) + "}"
    found = rejections(write_texts(path, [json.dumps(row(7, child_name="b")), culprit]))
    assert {name: r.code for name, r in found.items()} == {"#1": "duplicate_key", "#2": "record_too_large"}


@pytest.mark.parametrize(
    ("number", "week"), [('"7"', '"2025-07-21"'), ("7.0", "[]"), ("[7]", '"' + "1" * 5_000 + '"'), ("tru", "{}")]
)
def test_a_record_too_large_to_be_held_that_names_no_row_is_called_by_its_place(
    path: Path, number: str, week: str
) -> None:
    own = [part for part in members(1) if '"id": 1' not in part[:9] and "week_start_date" not in part]
    culprit = "{" + ", ".join([*own, LARGE, f'"id": {number}', f'"week_start_date": {week}']) + "}"
    store = write_texts(path, [culprit])
    (rejection,) = rejections(store).values()
    assert (rejection.row, rejection.code) == ("#1", "record_too_large")
    assert (rejection.key is None) == (week != '"2025-07-21"')
    assert [r.row for r in store.keyless(["#1"])] == ([] if rejection.key else ["#1"])


def test_load_absent_keys_sample_and_estimate_agree_with_the_scan(path: Path) -> None:
    rows = [row(number, child_name=f"child {number % 7}") for number in range(1, 15)]
    rows.append(row(15, child_name="held", user_id=str(STRANGER)))
    store = write(path, rows)
    boards = {board.key: board for page in pages(store, 4) for board in page.documents}
    assert len(boards) == 7
    loaded = store.load(boards)
    assert loaded.by_key() == boards
    assert len(loaded.links) == 14
    some = next(iter(boards))
    held = BoardKey(STRANGER, "held", some.week_start)
    nobody = BoardKey(OTHER, "nobody", some.week_start)
    assert store.absent([some, held, nobody]) == {nobody}
    assert store.keys_of(["1", "15", "99"]) == {"1": BoardKey(OWNER, "child 1", some.week_start), "15": held}
    assert store.estimate() == 15
    sample = drawn(store, 3, 1)
    assert drawn(store, 3, 1).documents == sample.documents
    assert len(sample.documents) + len(sample.rejections) == 3
    assert dict(store.fingerprints()).keys() == {str(number) for number in range(1, 16)}
    assert set(store.owners()) == {OWNER, STRANGER}


@pytest.mark.parametrize("parts", [1, 2, 3, 50])
def test_spans_cover_every_row_once(path: Path, parts: int) -> None:
    store = write(path, [row(number * 10, child_name=str(number)) for number in range(11)])
    spans = store.spans(parts)
    assert len(spans) <= parts
    assert spans[0].after is None
    assert spans[-1].until == 100
    rows = [link.row for span in spans for page in pages(store, 2, span) for link in page.links]
    assert rows == [str(number * 10) for number in range(11)]


def test_a_file_without_rows_has_no_span(path: Path) -> None:
    path.write_text("\n" if path.suffix == ".ndjson" else "[]", encoding="utf-8")
    store = LegacyJsonStore(path)
    assert store.spans(4) == []
    assert store.scan(Span(), 10).rows == 0


def test_a_page_of_large_records_ends_early_and_nothing_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    store = write(path, [row(number, child_name=str(number), theme="x" * 900_000) for number in range(1, 21)])
    found = pages(store, 1_000)
    assert len(found) > 1
    assert sum(len(page.documents) for page in found) == 20


def test_time_stamps_do_not_count_and_everything_else_does(path: Path) -> None:
    before = dict(write(path, [row(1), row(2)]).fingerprints())
    store = write(path, [row(1, updated_at="2025-08-01"), row(2, theme="new")])
    after = dict(store.fingerprints())
    assert before["1"] == after["1"]
    assert before["2"] != after["2"]


def test_whoever_replaces_the_file_is_noticed_at_the_next_call(path: Path) -> None:
    store = write(path, [row(1, child_name="a"), row(3, child_name="c")])
    version = store.version()
    first = store.scan(Span(), 1)
    write(path, [row(1, child_name="a"), row(2, child_name="b"), row(3, child_name="changed")])
    assert store.version() != version
    second = store.scan(Span(first.cursor), 10)
    assert [board.key.child for board in second.documents] == ["b", "changed"]


def test_a_change_in_place_that_keeps_size_and_time_is_noticed(path: Path) -> None:
    store = write(path, [row(1, theme="before")])
    assert only(store).theme == "before"
    status = path.stat()
    with path.open("r+b") as file:
        content = file.read().replace(b"before", b"after!")
        file.seek(0)
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert only(store).theme == "after!"


def test_the_claim_comes_before_the_content_and_covers_changed_keys(path: Path) -> None:
    store = write(path, [row(1, child_name="old")])
    claimed: list[set[str]] = []

    def claim(keys: Any) -> None:
        claimed.append({key.child for key in keys})
        if len(claimed) == 1:
            write(path, [row(1, child_name="new")])

    page = store.scan(Span(), 10, claim=claim)
    assert [board.key.child for board in page.documents] == ["new"]
    assert claimed == [{"old"}, {"new"}]


def test_a_second_reader_builds_nothing(path: Path, tmp_path: Path) -> None:
    write(path, [row(1)]).estimate()
    (index,) = (tmp_path / "var" / "spool").glob("*.sqlite3")
    built = index.stat().st_ino
    assert LegacyJsonStore(path).estimate() == 1
    assert index.stat().st_ino == built
    index.write_bytes(b"damaged")
    assert LegacyJsonStore(path).estimate() == 1


def test_saving_what_is_there_already_leaves_the_file_alone(path: Path) -> None:
    store = write(path, [row(1), row(2, child_name="b")])
    boards = [board for page in pages(store, 10) for board in page.documents]
    version = store.version()
    saved = store.save(boards)
    assert (saved.written, saved.unchanged) == (0, 2)
    assert store.version() == version


def test_a_saved_change_touches_its_own_cell_and_no_other_byte(path: Path) -> None:
    rows = [row(1, child_name="a"), row(2, extra=[1.10, {"deep": None}], reward=None), row(3, child_name="c")]
    store = write(path, rows)
    before = path.read_bytes()
    (board,) = (b for page in pages(store, 10) for b in page.documents if b.key.child == "하늘")
    store.save([replace(board, theme="여름")])
    parts = before.split(b'"theme": ""')
    assert path.read_bytes() == b'"theme": ""'.join(parts[:2]) + '"theme": "여름"'.encode() + b'"theme": ""'.join(
        parts[2:]
    )
    (again,) = (b for page in pages(store, 10) for b in page.documents if b.key.child == "하늘")
    assert again.theme == "여름"


def test_a_new_board_becomes_a_row_with_the_next_id(path: Path) -> None:
    store = write(path, [row(41), row(7, child_name="b")])
    board = replace(only(write(path, [row(41)])), key=BoardKey(OTHER, "새 아이", only(store).key.week_start))
    saved = store.save([board])
    assert (saved.written, saved.unchanged) == (1, 0)
    assert store.load([board.key]).documents == [board]
    added = read(path)[-1]
    assert added["id"] == 42
    assert added["week_period"] == "2025년 7월 21일 ~ 2025년 7월 27일"


@pytest.mark.parametrize("content", ["[]", '{"records": [ ]}', "[\n]"])
def test_the_first_board_goes_into_an_empty_file(tmp_path: Path, content: str) -> None:
    board = only(write(tmp_path / "other.json", [row(1)]))
    path = tmp_path / "rows.json"
    path.write_text(content, encoding="utf-8")
    store = LegacyJsonStore(path)
    store.save([board])
    assert only(store) == board


@pytest.mark.django_db(transaction=True)
def test_deleting_every_board_leaves_a_file_that_can_be_filled_again(path: Path) -> None:
    store = write(path, [row(1), row(2, child_name="b")])
    boards = [board for page in pages(store, 10) for board in page.documents]
    assert store.delete([board.key for board in boards]) == 2
    assert store.estimate() == 0
    assert read(path) == []
    assert store.delete([board.key for board in boards]) == 0
    store.save(boards)
    assert [board for page in pages(store, 10) for board in page.documents] == boards


def test_a_board_with_a_row_in_quarantine_is_not_written(path: Path) -> None:
    store = write(path, [row(1), row(2, habits="nonsense")])
    before = path.read_bytes()
    key = store.keys_of(["1"])["1"]
    assert key is not None
    with pytest.raises(DocumentHeld, match="Row 2 is in quarantine"):
        store.save([Board(key)])
    with pytest.raises(DocumentHeld):
        store.delete([key])
    assert path.read_bytes() == before


def test_an_owner_is_given_to_rows_that_have_none(path: Path) -> None:
    store = write(path, [row(1, user_id=None), row(2, child_name="b", user_id=""), row(3, child_name="c")])
    with pytest.raises(UnusableInput, match="Row 3 has an owner already"):
        store.assign_unit(["1", "3"], str(OTHER))
    with pytest.raises(UnusableInput, match="There is no user"):
        store.assign_unit(["1"], str(STRANGER))
    with pytest.raises(UnusableInput, match="There is no user"):
        store.assign_unit(["1"], "nobody")
    assert read(path)[0]["user_id"] is None
    assert store.assign_unit(["1", "2"], str(OTHER)) == 2
    assert [each["user_id"] for each in read(path)] == [str(OTHER), str(OTHER), str(OWNER)]
    assert not rejections(store)


@pytest.mark.parametrize("blank", [" ", "\t\n"])
def test_an_owner_of_nothing_but_blanks_is_none(path: Path, blank: str) -> None:
    store = write(path, [row(1, user_id=blank)])
    assert rejections(store)["1"].code == "owner_missing"
    assert store.assign_unit(["1"], str(OTHER)) == 1
    assert read(path)[0]["user_id"] == str(OTHER)


@pytest.mark.django_db(transaction=True)
def test_rows_that_a_save_removes_are_archived_even_if_the_transaction_is_rolled_back(path: Path) -> None:
    store = write(path, [row(1, theme="lower"), row(2, odd=1.50), row(3, child_name="b")])
    board = store.load([key for key in [store.keys_of(["2"])["2"]] if key]).documents[0]
    with transaction.atomic():
        store.save([mark(board, 0, 6, "red")])
        transaction.set_rollback(True)
    assert [each["id"] for each in read(path)] == [2, 3]
    (image,) = BeforeImage.objects.filter(cause="archived_row")
    assert (image.row, image.side, image.migration) == ("1", "legacy", "boards")
    assert image.image == row(1, theme="lower")


@pytest.mark.django_db(transaction=True)
def test_deleted_rows_are_archived_whatever_numbers_they_hold(path: Path) -> None:
    store = write(path, [row(1)])
    path.write_text(path.read_text(encoding="utf-8").replace('"theme"', '"odd": 1e999999, "theme"'), encoding="utf-8")
    store.delete([only(store).key])
    (image,) = BeforeImage.objects.all()
    assert "1e999999" in image.image["raw"]


LAYOUTS = {
    "spread": ('{\n  "records": [\n    ', ",\n    ", '\n  ],\n  "n" : 1e2\n}\n'),
    "dense": ("[", ",", "]"),
    "odd": ("\ufeff [ ", "\t,\r\n ", " ]  \n"),
    "lines": ("", "\n", "\n"),
    "lines apart": ("\n", "\r\n\r\n", ""),
}


@hypothesis_settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), layout=st.sampled_from(sorted(LAYOUTS)))
def test_saving_and_adding_any_boards_leaves_every_other_byte(tmp_path: Path, data: st.DataObject, layout: str) -> None:
    for index in (tmp_path / "var").glob("spool/*.sqlite3"):
        index.unlink()
    before, between, after = LAYOUTS[layout]
    count = data.draw(st.integers(1, 6))
    changed = data.draw(st.sets(st.integers(0, count - 1)))
    added = data.draw(st.integers(0, 2))
    texts = [
        json.dumps(row(number, child_name=f"아이 {number}", odd=[0.50, "\\"]), ensure_ascii=number % 2 == 0)
        for number in range(1, count + 1)
    ]
    path = tmp_path / ("rows.ndjson" if layout.startswith("lines") else "rows.json")
    path.write_bytes((before + between.join(texts) + after).encode())
    store = LegacyJsonStore(path, accepted=lambda rows: {})
    boards = [board for page in pages(store, 100) for board in page.documents]
    wanted = {
        board.key: replace(board, theme="새로운", habits=(*board.habits, Habit("책", ("red",) * 7)))
        for number, board in enumerate(boards)
        if number in changed
    }
    new = [replace(boards[0], key=BoardKey(OTHER, f"new {n}", boards[0].key.week_start)) for n in range(added)]
    saved = store.save([*wanted.values(), *new, *(board for board in boards if board.key not in wanted)])
    assert (saved.written, saved.unchanged) == (len(changed) + added, count - len(changed))

    written = path.read_bytes().decode()
    for number, text in enumerate(texts):
        if number not in changed:
            assert text in written
            written = written.replace(text, "")
    assert written.startswith(before)
    assert written.endswith(after)
    everything = {board.key: board for page in pages(store, 100) for board in page.documents}
    assert everything == {**{board.key: board for board in boards}, **wanted, **{board.key: board for board in new}}

    followed = index_of(tmp_path / "var" / "spool")
    for index in (tmp_path / "var" / "spool").glob("*.sqlite3"):
        index.unlink()
    rebuilt = LegacyJsonStore(path, accepted=lambda rows: {})
    assert {board.key: board for page in pages(rebuilt, 100) for board in page.documents} == everything
    assert index_of(tmp_path / "var" / "spool") == followed


@hypothesis_settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), layout=st.sampled_from(sorted(LAYOUTS)))
def test_removing_any_rows_leaves_the_others_as_they_were(
    tmp_path: Path, data: st.DataObject, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("habits.stores.legacy_json.archive", lambda *arguments: None)
    for index in (tmp_path / "var").glob("spool/*.sqlite3"):
        index.unlink()
    before, between, after = LAYOUTS[layout]
    count = data.draw(st.integers(1, 6))
    gone = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    texts = [json.dumps(row(number, child_name=f"아이 {number}")) for number in range(1, count + 1)]
    if data.draw(st.booleans()):
        texts.append("17")
    path = tmp_path / ("rows.ndjson" if layout.startswith("lines") else "rows.json")
    path.write_bytes((before + between.join(texts) + after).encode())
    store = LegacyJsonStore(path, accepted=lambda rows: {})
    boards = [board for page in pages(store, 100) for board in page.documents]
    assert store.delete([boards[number].key for number in gone]) == len(gone)
    kept = [text for number, text in enumerate(texts) if number not in gone]
    if kept:
        assert path.read_bytes().decode() == before + between.join(kept) + after
    if len(texts) == count:
        followed = index_of(tmp_path / "var" / "spool")
        for index in (tmp_path / "var" / "spool").glob("*.sqlite3"):
            index.unlink()
        LegacyJsonStore(path).estimate()
        assert index_of(tmp_path / "var" / "spool") == followed
    assert [board for page in pages(store, 100) for board in page.documents] == [
        board for number, board in enumerate(boards) if number not in gone
    ]


def test_blanks_stay_as_they_were_written(path: Path) -> None:
    store = write(path, [row(1, habits=[{"id": 3, "name": "x", "times": [None, "none", ""], "note": "kept"}])])
    store.save([mark(only(store), 0, 4, "yellow")])
    (habit,) = read(path)[0]["habits"]
    assert habit == {"id": 3, "name": "x", "times": [None, "none", "", "", "yellow", "", ""], "note": "kept"}
