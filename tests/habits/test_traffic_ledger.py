"""What the ledger of the traffic knows: which marks a look may see, and what is left of a run that was killed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from uuid import UUID

import pytest

from habits.board import BoardKey
from habits.traffic import ledger
from habits.traffic.check import Fault, compare
from habits.traffic.ledger import Ledger, Line, Write, possible
from habits.traffic.schedule import Kind, Profile, arrivals
from habits.traffic.sources import StoredLine
from migration_ops.definition import Side
from migration_ops.exceptions import UnusableInput

KEY = BoardKey(UUID(int=1), "민지", date(2025, 7, 21))
BLANK = ("none",) * 7


def write(status: str, begun: float, ended: float | None, day: int = 0) -> Write:
    return Write(0, "line", day, status, begun, ended)


def added(begun: float = 0, ended: float | None = 1) -> Write:
    return Write(0, "line", None, "none", begun, ended)


def stored(*, child: str = "민지", times: tuple[str, ...] = BLANK) -> StoredLine:
    return StoredLine(str(KEY.owner), child, KEY.week_start, "line", times)


def test_of_two_writes_after_each_other_the_second_counts() -> None:
    assert possible([added(), write("green", 2, 3), write("red", 4, 5)]) == {"red"}


def test_of_two_writes_at_the_same_time_either_may_count() -> None:
    assert possible([added(), write("green", 2, 5), write("red", 3, 4)]) == {"green", "red"}


def test_a_write_that_nobody_answered_may_have_been_made_or_not() -> None:
    assert possible([added(), write("green", 2, 3), write("red", 4, None)]) == {"green", "red"}


def test_a_look_may_see_what_was_written_meanwhile_and_must_see_what_was_before() -> None:
    writes = [added(), write("green", 2, 3), write("red", 6, 8), write("yellow", 20, 21)]
    assert possible(writes, begun=4, ended=5) == {"green"}
    assert possible(writes, begun=4, ended=7) == {"green", "red"}
    assert possible(writes, begun=9, ended=10) == {"red"}


def test_somebody_who_misses_an_acknowledged_line_read_stale(tmp_path: Path) -> None:
    book = Ledger("run")
    first = book.append(KEY)
    assert not book.stale(KEY, [], first.begun, first.begun + 1), "it is not acknowledged yet"
    book.acknowledge(first)
    later = first.ended or 0
    assert book.stale(KEY, [], later, later + 1)
    assert book.stale(KEY, [(first.name, BLANK), (first.name, BLANK)], later, later + 1)
    assert not book.stale(KEY, [(first.name, BLANK)], later, later + 1)
    mark = book.mark(first.name, 3, "green")
    book.acknowledge(mark)
    later = mark.ended or 0
    assert book.stale(KEY, [(first.name, BLANK)], later, later + 1)
    assert not book.stale(KEY, [(first.name, (*BLANK[:3], "green", *BLANK[4:]))], later, later + 1)


def test_the_file_says_the_same_as_memory_also_if_its_last_line_was_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "traffic" / "run.jsonl"
    book = Ledger("run", file)
    first, second, third = (book.append(KEY) for _ in range(3))
    book.acknowledge(first)
    book.refuse(second)
    book.acknowledge(book.mark(first.name, 6, "red"))
    book.mark(third.name, 0, "green")
    book.close()
    with file.open("a") as stream:
        stream.write('{"acknowledged": 2, "a')
    again = ledger.read(file)
    assert (again.run, again.lines()) == ("run", book.lines())
    assert [line.added.name for line in again.on_board(KEY)] == [first.name, third.name]


@pytest.mark.parametrize("content", ["", "[]\n", '{"run": "a"}\n{"write": 1}\n', '{"run": "a"}\n{"refused": 9}\n'])
def test_what_is_no_ledger_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ledger"
    file.write_text(content)
    with pytest.raises(UnusableInput, match="is no ledger"):
        ledger.read(file)


def test_a_line_that_both_stores_have_once_and_alike_is_right() -> None:
    line = Line(KEY, added(), [write("green", 2, 3)])
    found = {"line": [stored(times=("green", *BLANK[1:]))]}
    assert compare([line], {Side.LEGACY: found, Side.MODERN: found}, ()) == []


@pytest.mark.parametrize(
    ("legacy", "modern", "faults"),
    [
        ([], [], [Fault.LOST]),
        ([stored()], [], [Fault.MISSING_IN_MODERN]),
        ([], [stored()], [Fault.MISSING_IN_LEGACY]),
        ([stored(), stored()], [stored()], [Fault.DOUBLED]),
        ([stored()], [stored(times=("red", *BLANK[1:]))], [Fault.DIFFERENT]),
        ([stored(times=("red", *BLANK[1:]))] * 1, [stored(times=("red", *BLANK[1:]))], [Fault.DIFFERENT] * 1),
        ([stored(child="지호")], [stored()], [Fault.DIFFERENT]),
        ([stored()], [stored(times=BLANK[1:])], [Fault.DIFFERENT] * 7),
    ],
)
def test_whatever_else_is_found_and_named(
    legacy: list[StoredLine], modern: list[StoredLine], faults: list[Fault]
) -> None:
    line = Line(KEY, added())
    found = compare([line], {Side.LEGACY: {"line": legacy}, Side.MODERN: {"line": modern}}, ())
    assert [finding.fault for finding in found] == faults
    assert {finding.name for finding in found} == {"line"}


def test_a_line_that_nobody_acknowledged_may_be_missing_but_on_both_sides() -> None:
    line = Line(KEY, added(ended=None))
    assert compare([line], {Side.LEGACY: {}, Side.MODERN: {}}, ()) == []
    (finding,) = compare([line], {Side.LEGACY: {"line": [stored()]}, Side.MODERN: {}}, ())
    assert finding.fault is Fault.MISSING_IN_MODERN


def test_a_board_with_a_row_in_quarantine_is_in_legacy_alone() -> None:
    assert compare([Line(KEY, added())], {Side.LEGACY: {"line": [stored()]}, Side.MODERN: {}}, [KEY]) == []


def test_the_same_seed_makes_the_same_requests_at_the_rate_and_in_the_shares_asked_for() -> None:
    profile = Profile(rate=100, seconds=20, write_percent=25, append_percent=40, seed=3)
    made = list(arrivals(profile, [1, 5, 2]))
    assert made == list(arrivals(profile, [1, 5, 2]))
    assert made != list(arrivals(Profile(rate=100, seconds=20, write_percent=25, append_percent=40, seed=4), [1, 5, 2]))
    assert [arrival.at for arrival in made] == [number / 100 for number in range(2_000)]
    writes = [arrival for arrival in made if arrival.kind.writes]
    assert 0.2 < len(writes) / len(made) < 0.3
    assert 0.3 < sum(write.kind is Kind.APPEND for write in writes) / len(writes) < 0.5
    assert {(arrival.family, arrival.board) for arrival in made} == {
        (family, board) for family, boards in enumerate([1, 5, 2]) for board in range(boards)
    }
