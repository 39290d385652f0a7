"""The reader of JSON files: same records as `json.load`, exact places, and a named fault for whatever is wrong."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from habits.stores.json_entry import describe
from habits.stores.json_reader import JsonReader, Record
from habits.stores.json_record import RecordDecoder, Verbatim, decode_checked, rewrite
from migration_ops.exceptions import UnusableInput

LARGE = b"x" * 2 * 1024 * 1024
CHUNKS = st.integers(1, 40)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
records = st.lists(st.dictionaries(texts, values, max_size=4), max_size=5)


def read(data: bytes, *, lines: bool = False, chunk: int = 7, limit: int = 1024 * 1024) -> list[Record]:
    return list(JsonReader(io.BytesIO(data), "rows.json", lines=lines, chunk=chunk, limit=limit).records())


def codes(data: bytes, *, lines: bool = False, limit: int = 1024 * 1024) -> list[str | None]:
    return [record.fault.code if record.fault else None for record in read(data, lines=lines, limit=limit)]


def refusal(data: bytes, *, lines: bool = False) -> str:
    with pytest.raises(UnusableInput) as refused:
        read(data, lines=lines)
    return str(refused.value)


def in_form(rows: list[Any], form: str, indent: int | None, ascii_only: bool) -> bytes:
    if form == "lines":
        return "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows).encode()
    whole = rows if form == "array" else {"a": {"records": [1]}, "records": rows, "z": [rows]}
    return json.dumps(whole, ensure_ascii=ascii_only, indent=indent).encode()


@settings(deadline=None, max_examples=200)
@given(
    rows=records,
    form=st.sampled_from(["object", "array", "lines"]),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
    chunk=CHUNKS,
    mark=st.booleans(),
)
def test_reads_what_json_reads_whatever_the_size_of_its_bites(
    rows: list[Any], form: str, indent: int | None, ascii_only: bool, chunk: int, mark: bool
) -> None:
    data = (b"\xef\xbb\xbf" if mark else b"") + in_form(rows, form, indent, ascii_only)
    if not data:
        return
    found = read(data, lines=form == "lines", chunk=chunk)
    assert [record.value for record in found] == rows
    assert [record.ordinal for record in found] == list(range(1, len(rows) + 1))
    for record in found:
        assert data[record.start : record.end].decode() == record.text
        assert record.line == data[: record.start].count(b"\n") + 1


@settings(deadline=None, max_examples=200)
@given(rows=records, chunk=CHUNKS, limit=st.integers(20, 60), form=st.sampled_from(["object", "array", "lines"]))
def test_a_record_beyond_the_limit_is_skipped_and_no_other(rows: list[Any], chunk: int, limit: int, form: str) -> None:
    data = in_form(rows, form, None, False)
    if not data:
        return
    found = read(data, lines=form == "lines", chunk=chunk, limit=limit)
    assert len(found) == len(rows)
    for record, row in zip(found, rows, strict=True):
        raw = json.dumps(row, ensure_ascii=False).encode()
        assert data[record.start : record.end] == raw
        if len(raw) > limit:
            assert record.fault is not None
            assert record.fault.code == "record_too_large"
            assert record.text == ""
        else:
            assert record.value == row


identifying = st.sampled_from(["id", "user_id", "child_name", "week_start_date", "week_period"])
said = scalars | st.sampled_from(
    ["11111111-1111-4111-8111-111111111111", "하늘", "2025-07-21", "2025년 7월 21일", 7, 2**63, [7], {"id": 7}, ""]
)
members = st.lists(st.tuples(identifying, said) | st.tuples(texts, values), max_size=9)


@settings(deadline=None, max_examples=400)
@given(
    parts=members,
    filling_at=st.integers(0, 9),
    form=st.sampled_from(["array", "lines"]),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 400),
)
def test_a_record_beyond_the_limit_is_known_as_what_it_would_be_known_as_within(
    parts: list[tuple[str, Any]], filling_at: int, form: str, ascii_only: bool, chunk: int
) -> None:
    parts.insert(filling_at, ("filling", [{"id": 1, "user_id": "x"}] * 12))
    said = [json.dumps({name: value}, ensure_ascii=ascii_only)[1:-1] for name, value in parts]
    text = "{" + " , ".join(said) + "}"
    data = text.encode() if form == "lines" else f"[{text}]".encode()
    (held,) = read(data, lines=form == "lines", chunk=chunk)
    (skipped,) = read(data, lines=form == "lines", chunk=chunk, limit=200)
    assert skipped.fault is not None
    assert skipped.fault.code == "record_too_large"
    # Place, row, length, digest, key, owner; then what the content says, and the fault.
    assert describe(skipped)[:7] == describe(held)[:7]


@settings(deadline=None, max_examples=150)
@given(rows=records, form=st.sampled_from(["object", "array"]), data=st.data())
def test_a_truncated_file_is_refused_wherever_it_was_cut(rows: list[Any], form: str, data: st.DataObject) -> None:
    whole = in_form(rows, form, None, False)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(UnusableInput):
        read(whole[:cut])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \n\t", "nothing but white space"),
        (b"\xef\xbb\xbf", "nothing but white space"),
        (b"[", "is truncated: it ends at byte 1"),
        (b'[{"id": 1}, {"id": 2', "is truncated: it ends at byte 20"),
        (b'{"records": [{"id": 1}]', "is truncated"),
        (b'[{"theme": "\xea\xb0', "in the middle of a character that begins at byte 12"),
        (b'[{"theme": "\xff"}]', "is not UTF-8: byte 12 is 0xff"),
        ("[]".encode("utf-16"), "is not UTF-8: byte 0 is 0xff"),
        (b'[{"id": 1},\n {"id": tru}]', "line 2, column 9, byte 20"),
        (b'[{"id": 1} {"id": 2}]', "expected ',' or ']', found '{' (line 1, column 12, byte 11)"),
        (b'[{"id": 1},]', "found ']'"),
        (b"[1]]", "the data ended, but ']' follows"),
        (b"id,child_name\n1,x", "neither an array nor an object begins here (line 1, column 1, byte 0)"),
        (b'"text"', "neither an array nor an object"),
        (b"{}", "has no `records`"),
        (b'{"id": 1}\n{"id": 2}', "name the file *.ndjson"),
        (b'{"records": {"id": 1}}', "`records` is not an array (line 1, column 13, byte 12)"),
        (b'{"records": [], "records": []}', "`records` stands here a second time"),
        (b'{"records": [], "\\u0072ecords": []}', "`records` stands here a second time"),
        (b"{records: []}", "expected a name in double quotes"),
        (b"[" * 2_000_000, "nested deeper than"),
    ],
)
def test_an_unusable_file_is_refused_with_the_place(data: bytes, words: str) -> None:
    message = refusal(data)
    assert message.startswith("rows.json ")
    assert words in message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b'{"id": 1}\n{"id":', "is truncated"),
        (b'{"id": 1}\n{"id": "2', "is truncated"),
        (b'{"id": 1}\n{"id" 2}\n{"id": 3}\n', "line 2, column 7, byte 16"),
        (b'{"id": 1}{"id": 2}\n', "the line goes on after its value (line 1, column 10, byte 9)"),
        (b'{\n"id": 1}\n', "line 1"),
        (b'{"a": "' + LARGE + b'"}{"id": 2}\n', "the line goes on after its value (line 1, column 2097162,"),
        (b'{"a": "' + LARGE + b'",\n"id": 2}\n', "the value of line 1 goes on beyond the line"),
        (b'{"a": "' + LARGE + b'"\n{"id": 2}\n', "expected ',' or '}', found '{' (line 2, column 1"),
        (b'{"a": "' + LARGE + b'\n{"id": 2}\n', "expected ',' or '}', found 'i' (line 2, column 3"),
        (b'{"a": "' + LARGE + b'", 7: 1}\n', "expected a name in double quotes, found '7'"),
        (b'{"a": "' + LARGE + b'",}\n', "found '}'"),
        (b'{"a": "' + LARGE + b'", "id" 7}\n', "expected ':', found '7'"),
        (b'{"a": "' + LARGE + b'", "b": ["\n', "is truncated"),
    ],
)
def test_an_unusable_file_of_lines_is_refused_with_the_line(data: bytes, words: str) -> None:
    assert words in refusal(data, lines=True)


def test_blank_lines_and_a_missing_last_newline_do_no_harm() -> None:
    found = read(b'\n{"id": 1}\r\n\r\n  {"id": 2} \n\n{"id": 3}', lines=True)
    assert [record.text for record in found] == ['{"id": 1}', '{"id": 2}', '{"id": 3}']
    assert [record.line for record in found] == [2, 4, 6]


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (b'{"id": NaN}', "duplicate_key"),
        (b'{"habits": [{"times": [-Infinity]}]}', "habits_malformed"),
        (b'{"reflection": {"x": Infinity}}', "reflection_malformed"),
        (b'{"anything": NaN}', "text_invalid"),
        (b'{"id": 1, "id": 2}', "duplicate_key"),
        (b'{"habits": [{"name": "a", "name": "b"}]}', "duplicate_key"),
        (b'{"theme": "a\\u0000b"}', "text_invalid"),
        (b'{"theme": "a\x00b"}', "text_invalid"),
        (b'{"theme": "a\tb"}', "text_invalid"),
        (b'{"theme": "\\ud83d"}', "text_invalid"),
        (b'{"\\udc00": 1}', "text_invalid"),
        (b'{"habits": ' + b"[" * 32 + b"]" * 32 + b"}", "record_too_large"),
        (b'{"habits": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "record_too_large"),
        (b"[" * 100_000 + b"]" * 100_000, "record_too_large"),
        (b'{"theme": "' + b"x" * 1024 * 1024 + b'"}', "record_too_large"),
        (b"1" * 2 * 1024 * 1024, "record_too_large"),
        (b"17", "habits_malformed"),
        (b"null", "habits_malformed"),
        (b"NaN", "habits_malformed"),
        (b'"text"', "habits_malformed"),
        (b'[{"id": 1}]', "habits_malformed"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_a_faulty_record_is_named_and_its_neighbours_are_read(record: bytes, code: str, lines: bool) -> None:
    sound = b'{"id": 9}'
    data = b"\n".join([sound, record, sound]) if lines else b"[" + b",".join([sound, record, sound]) + b"]"
    assert codes(data, lines=lines) == [None, code, None]


def test_thirty_two_levels_are_not_too_deep_and_escaped_pairs_are_no_halves() -> None:
    assert codes(b'[{"habits": ' + b"[" * 31 + b"]" * 31 + b"}]") == [None]
    assert codes(b'[{"theme": "\\ud83d\\ude00", "reward": "\\\\u0000"}]') == [None]


def test_huge_numbers_are_read_and_written_as_they_were() -> None:
    digits = "9" * 10_000
    text = f'{{"id": 1, "a": 1e999999, "b": {digits}, "c": 1.10, "d": -0, "theme": "x"}}'
    (record,) = read(f"[{text}]".encode())
    assert record.fault is None
    assert math.isinf(record.value["a"])
    assert decode_checked(text)["id"] == 1
    old = RecordDecoder().decode(text, exact=True).value
    assert isinstance(old["b"], Verbatim)
    assert rewrite(text, old, {"theme": "y"}) == text.replace('"x"', '"y"')
    assert rewrite(text, old, {"habits": [old["a"], old["b"], old["c"]]}).endswith(
        f', "habits": [1e999999, {digits}, 1.10]}}'
    )


@settings(deadline=None, max_examples=200)
@given(
    record=st.dictionaries(texts, values, max_size=5),
    changes=st.dictionaries(texts, values, max_size=3),
    indent=st.none() | st.integers(0, 3),
)
def test_a_rewritten_record_says_the_changes_and_keeps_the_rest(
    record: dict[str, Any], changes: dict[str, Any], indent: int | None
) -> None:
    text = json.dumps(record, indent=indent, ensure_ascii=False)
    old = RecordDecoder().decode(text, exact=True).value
    changed = rewrite(text, old, changes)
    assert json.loads(changed) == {**record, **changes}
    assert rewrite(text, old, {}) == text
    assert rewrite(text, old, old) == text


@pytest.mark.parametrize(
    ("begin", "piece", "end"),
    [
        ('"theme": "', "가나다라", '"'),
        ('"habits": [', '{"id": 1, "name": "가나"},', "0]"),
        ("", '"note": "가",', '"note": null'),
    ],
    ids=["one text", "one array", "many members"],
)
def test_a_file_with_a_record_of_forty_megabytes_is_read_in_constant_memory(
    tmp_path: Path, begin: str, piece: str, end: str
) -> None:
    path = tmp_path / "big.json"
    with path.open("wb") as file:
        file.write(b'[{"id": 1, ' + begin.encode())
        for _ in range(40):
            file.write(piece.encode() * (1024 * 1024 // len(piece.encode())))
        file.write(end.encode() + b"}")
        row = json.dumps({"id": 2, "theme": "x" * 2_000}).encode()
        for _ in range(10_000):
            file.write(b"," + row)
        file.write(b"]")
    program = (
        "import resource, sys\n"
        "from habits.stores.json_reader import JsonReader\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    found = sum(1 for _ in JsonReader(file, 'x', lines=False).records())\n"
        "print(found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    found, kilobytes = map(int, done.stdout.split())
    assert found == 10_001
    assert kilobytes < 40 * 1024
