"""Fresh boards as rows of PostgreSQL's binary COPY format, packed once and by hand.

Building an object and a parameter for each of the 57 rows of a usual board is what a backfill would spend its time on.
Instead, all that rows have in common is packed beforehand, and the ids of a habit and of its seven marks share their
first 15 bytes (their *stem*), so that the seven rows are made by a single `join`.

The format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from habits.board import BLANK, DAYS, Board, Habit, Reflection
from habits.identifiers import stems
from habits.stores.legacy_ids import legacy_id_kept

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"

COPY_WEEKS = (
    "COPY weeks (id, user_id, child_id, week_start_date, week_end_date, theme, reward, reflection)"
    " FROM STDIN (FORMAT BINARY)"
)
COPY_HABITS = "COPY habits (id, week_id, name, time_period, display_order, legacy_id) FROM STDIN (FORMAT BINARY)"
COPY_RECORDS = "COPY habit_records (id, habit_id, record_date, status) FROM STDIN (FORMAT BINARY)"

_NULL = b"\xff\xff\xff\xff"
_SIZE_4 = b"\x00\x00\x00\x04"
_SIZE_8 = b"\x00\x00\x00\x08"
_SIZE_16 = b"\x00\x00\x00\x10"
_WEEK = b"\x00\x08" + _SIZE_16
_HABIT = b"\x00\x06" + _SIZE_16
_RECORD = b"\x00\x04" + _SIZE_16
_OWN_ID = b"\x00"
_DAY_IDS = [bytes([day + 1]) + _SIZE_16 for day in range(DAYS)]
_EPOCH = date(2000, 1, 1).toordinal()


class Lines(NamedTuple):
    """Habits that are about to be written: for each its stem, Monday and marks."""

    stems: list[bytes]
    mondays: list[date]
    times: list[Sequence[str | None]]


def week_rows(boards: Sequence[tuple[Board, bytes]]) -> tuple[bytes, list[bytes]]:
    """Rows for `COPY_WEEKS` of (board, id of its child), and the id each of the boards' weeks got."""
    rows = [HEADER]
    week_ids = []
    for (board, child_id), stem in zip(boards, stems(), strict=False):
        week_id = stem + _OWN_ID
        week_ids.append(week_id)
        rows += (
            _WEEK,
            week_id,
            _SIZE_16,
            board.key.owner.bytes,
            _SIZE_16,
            child_id,
            _week_dates(board.key.week_start),
            _sized(board.theme.encode()),
            _sized(board.reward.encode()),
            _sized(b"\x01" + reflection_json(board.reflection).encode()),
        )
    rows.append(TRAILER)
    return b"".join(rows), week_ids


def habit_rows(habits: Sequence[tuple[bytes, int, Habit, date]]) -> tuple[bytes, Lines]:
    """Rows for `COPY_HABITS` of (week id, position, habit, Monday), and what their marks are made of."""
    rows = [HEADER]
    lines = Lines([], [], [])
    take_stem, take_monday, take_times = lines.stems.append, lines.mondays.append, lines.times.append
    for (week_id, position, habit, monday), stem in zip(habits, stems(), strict=False):
        rows += (
            _HABIT,
            stem,
            _OWN_ID_SIZE_16,
            week_id,
            _short_text(habit.name),
            _short_text(habit.time_period),
            _position(position),
            _bigint(habit.legacy_id),
        )
        take_stem(stem)
        take_monday(monday)
        take_times(habit.times)
    rows.append(TRAILER)
    return b"".join(rows), lines


def record_rows(lines: Lines, chunk: int = 1024) -> Iterator[bytes]:
    """Rows for `COPY_RECORDS`, seven a line, in pieces of `chunk` lines: the server stores one as the next is made."""
    day_1, day_2, day_3, day_4, day_5, day_6, day_7 = _DAY_IDS
    lines_left = zip(*lines, strict=True)
    piece = [HEADER]
    while True:
        for stem, monday, times in islice(lines_left, chunk):
            week = _week_of_marks(monday)
            first, second, third, fourth, fifth, sixth, seventh = times
            piece.append(
                stem.join(
                    (
                        _RECORD,
                        day_1,
                        week[0][first],
                        day_2,
                        week[1][second],
                        day_3,
                        week[2][third],
                        day_4,
                        week[3][fourth],
                        day_5,
                        week[4][fifth],
                        day_6,
                        week[5][sixth],
                        day_7,
                        week[6][seventh],
                    )
                )
            )
        if not piece:
            break
        yield b"".join(piece)
        piece = []
    yield TRAILER


def loose_record_rows(records: Sequence[tuple[bytes, date, str]]) -> bytes:
    """Rows for `COPY_RECORDS` of single marks: (habit id, day, status)."""
    rows = [HEADER]
    for (habit_id, day, status), stem in zip(records, stems(), strict=False):
        rows += (_RECORD, stem, _OWN_ID_SIZE_16, habit_id, _SIZE_4, _date(day), _sized(status.encode()))
    rows.append(TRAILER)
    return b"".join(rows)


def reflection_json(reflection: Reflection) -> str:
    """The reflection as it is stored: always all three answers, blank ones as ""."""
    return json.dumps(
        {
            "bestDay": reflection.best_day,
            "easiestHabit": reflection.easiest_habit,
            "nextWeekGoal": reflection.next_week_goal,
        },
        ensure_ascii=False,
    )


_OWN_ID_SIZE_16 = _OWN_ID + _SIZE_16


class _Marks(dict[str | None, bytes]):
    """The end of a mark's row, after the stem of its habit's id: that id's last byte, the day, the status, and the
    beginning of the next row. A status nobody knows is packed too, so that the database says what it thinks of it."""

    def __init__(self, day: date, *, last: bool) -> None:
        super().__init__()
        self._before = _OWN_ID + _SIZE_4 + _date(day)
        self._after = b"" if last else _RECORD

    def __missing__(self, status: str | None) -> bytes:
        packed = self._before + _sized((status or BLANK).encode()) + self._after
        self[status] = packed
        return packed


@lru_cache(maxsize=1024)
def _week_of_marks(monday: date) -> tuple[_Marks, ...]:
    return tuple(_Marks(monday + timedelta(days=day), last=day == DAYS - 1) for day in range(DAYS))


@lru_cache(maxsize=1024)
def _week_dates(monday: date) -> bytes:
    return _SIZE_4 + _date(monday) + _SIZE_4 + _date(monday + timedelta(days=DAYS - 1))


@lru_cache(maxsize=1024)
def _position(position: int) -> bytes:
    return _SIZE_4 + position.to_bytes(4, "big")


@lru_cache(maxsize=8192)
def _short_text(text: str) -> bytes:
    """A text that comes again and again, such as the name of a habit."""
    return _sized(text.encode())


def _bigint(number: int | None) -> bytes:
    kept = legacy_id_kept(number)
    return _NULL if kept is None else _SIZE_8 + kept.to_bytes(8, "big", signed=True)


def _date(day: date) -> bytes:
    return (day.toordinal() - _EPOCH).to_bytes(4, "big", signed=True)


def _sized(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value
