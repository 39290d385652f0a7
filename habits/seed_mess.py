"""What real legacy data contains: everything the policy puts up with, and some of everything it does not.

Pure. Of a hundred rows some ten are a further row of a week that has one already, some twenty-five have an oddity, and
two or three cannot be represented; every quarantine code a table can hold comes up in turn.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import date, timedelta
from random import Random
from typing import Any

from habits.stores.legacy_changes import week_period

Record = dict[str, Any]

UNKNOWN_OWNER = "00000000-0000-4000-8000-00000000dead"
FAULTY = 0.022
ODD = 0.25
AGAIN = 0.07
_TOO_MUCH = 1_100_000


class Mess:
    """Spoils rows; all chance comes from the given source."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._waiting: list[tuple[int, Record]] = []
        self._turn = 0
        self._faults = list(FAULTS)
        random.shuffle(self._faults)

    def step(self) -> int:
        """By how much the next id is higher: mostly one."""
        return 1 if self._random.random() < 0.95 else self._random.randint(2, 6)

    def start(self, starts: tuple[int, ...]) -> int:
        """The weekday on which a week begins, mostly the first of those possible."""
        return starts[0] if self._random.random() < 0.75 else self._random.choice(starts)

    def again(self, record: Record, monday: date, starts: tuple[int, ...]) -> Iterator[Record]:
        """The row, and sometimes further rows of its week: saved again at once, or weeks later."""
        chance = self._random.random()
        further = 0 if chance >= AGAIN else 2 if chance < AGAIN / 6 else 1
        begun = date.fromisoformat(record["week_start_date"])
        others = [start for start in starts if monday + timedelta(days=start) != begun]
        self._random.shuffle(others)
        copies = [self._copy(record, monday + timedelta(days=start)) for start in others[:further]]
        yield record
        for copy in copies:
            if self._random.random() < 0.3:
                self._waiting.append((self._random.randint(1, 4), copy))
            else:
                yield copy

    def late(self) -> Iterator[Record]:
        """Rows of earlier weeks that are saved only now."""
        waiting = [(weeks - 1, record) for weeks, record in self._waiting]
        self._waiting = [(weeks, record) for weeks, record in waiting if weeks > 0]
        yield from (record for weeks, record in waiting if weeks <= 0)

    def spoil(self, record: Record) -> None:
        """Give the row an oddity or a fault, or leave it."""
        chance = self._random.random()
        if chance < FAULTY:
            _, fault = self._faults[self._turn % len(self._faults)]
            self._turn += 1
            fault(record, self._turn)
        elif chance < FAULTY + ODD:
            self._random.choice(ODDITIES)(record, self._random)
        if self._random.random() < 0.03:
            record["updated_at"] = record["created_at"]

    def _copy(self, record: Record, start: date) -> Record:
        random = self._random
        copy = deepcopy(record)
        copy["week_start_date"] = start.isoformat()
        copy["week_period"] = week_period(start, start + timedelta(days=6))
        for habit in copy["habits"]:
            for day in range(7):
                if random.random() < 0.3:
                    habit["times"][day] = random.choice(("", "", "green", "yellow"))
        if random.random() < 0.3:
            copy["habits"].append({"id": len(copy["habits"]) + 1, "name": "새 습관", "times": ["green"] + [""] * 6})
        if random.random() < 0.3:
            copy["theme"] = random.choice((None, "", "다시 시작"))
        if random.random() < 0.3:
            copy["child_name"] += random.choice((" ", "\n", "  "))
        elif random.random() < 0.2:
            copy["child_name"] = unicodedata.normalize("NFD", copy["child_name"])
        return copy


def _first(record: Record) -> dict[str, Any]:
    habit: dict[str, Any] = record["habits"][0]
    return habit


def _owner_missing(record: Record, turn: int) -> None:
    record["user_id"] = None


def _owner_unknown(record: Record, turn: int) -> None:
    record["user_id"] = UNKNOWN_OWNER


def _child_name(record: Record, turn: int) -> None:
    white = "".join(" \t"[int(bit)] for bit in f"{record['id']:b}")
    record["child_name"] = white if turn % 2 else f"{'가' * 100}{record['id']}"


def _week(record: Record, turn: int) -> None:
    record["week_period"] = f"언젠가 {record['id']}"
    record["week_start_date"] = (None, "infinity", "1999-12-26", "2101-01-03")[turn % 4]


def _habits(record: Record, turn: int) -> None:
    record["habits"] = ({"1": _first(record)}, [_first(record), "양치하기"], '[{"id": 1, "name": "양치', 7)[turn % 4]


def _habit_name(record: Record, turn: int) -> None:
    _first(record)["name"] = (None, "", " \n", "매일 " * 50 + "읽기", 7)[turn % 5]


def _times(record: Record, turn: int) -> None:
    _first(record)["times"] = ("green", {"0": "green"}, 3)[turn % 3]


def _times_length(record: Record, turn: int) -> None:
    _first(record)["times"] = [*_first(record)["times"], "", "green"]


def _status(record: Record, turn: int) -> None:
    _first(record)["times"][3] = ("blue", "GREEN", "done", 1, True)[turn % 5]


def _reflection(record: Record, turn: int) -> None:
    record["reflection"] = (["월요일"], {"bestDay": 3}, "좋았다", 5)[turn % 4]


def _text(record: Record, turn: int) -> None:
    _first(record)["name"] += "\x00"
    record["habits"] = json.dumps(record["habits"])


def _too_large(record: Record, turn: int) -> None:
    if turn <= len(FAULTS):
        _first(record)["note"] = "가" * (_TOO_MUCH // 3)
        return
    nested: list[Any] = []
    for _ in range(40):
        nested = [nested]
    _first(record)["note"] = nested


def _duplicate_key(record: Record, turn: int) -> None:
    record["habits"] = json.dumps(record["habits"], ensure_ascii=False).replace('{"id"', '{"id": 99, "id"', 1)


Fault = Callable[[Record, int], None]

FAULTS: tuple[tuple[str, Fault], ...] = (
    ("owner_missing", _owner_missing),
    ("owner_unknown", _owner_unknown),
    ("child_name_invalid", _child_name),
    ("week_unreadable", _week),
    ("habits_malformed", _habits),
    ("habit_name_invalid", _habit_name),
    ("times_malformed", _times),
    ("times_too_long", _times_length),
    ("status_unknown", _status),
    ("reflection_malformed", _reflection),
    ("text_invalid", _text),
    ("record_too_large", _too_large),
    ("duplicate_key", _duplicate_key),
)
"""How to make a row that gets this code; the number is how many faults there were."""


def _habits_as_text(record: Record, random: Random) -> None:
    record["habits"] = json.dumps(record["habits"], ensure_ascii=False)


def _no_habits(record: Record, random: Random) -> None:
    record["habits"] = random.choice((None, [], ""))


def _no_times(record: Record, random: Random) -> None:
    if random.random() < 0.5:
        del _first(record)["times"]
    else:
        _first(record)["times"] = None


def _short_times(record: Record, random: Random) -> None:
    _first(record)["times"] = _first(record)["times"][: random.randint(0, 6)]


def _long_times(record: Record, random: Random) -> None:
    _first(record)["times"] = [*_first(record)["times"], "", random.choice((None, "", "none"))]


def _blank_words(record: Record, random: Random) -> None:
    for habit in record["habits"]:
        habit["times"] = [status or random.choice((None, "none", "")) for status in habit["times"]]


def _same_name(record: Record, random: Random) -> None:
    twice = deepcopy(_first(record))
    twice["times"] = ["yellow", *twice["times"][1:]]
    record["habits"].append(twice)


def _strange_name(record: Record, random: Random) -> None:
    name = _first(record)["name"]
    _first(record)["name"] = random.choice(
        (
            name.replace(") ", ")\n"),
            f"{name} ",
            f"{name}.",
            f"{name} {{100회[목표]}}",
            f"{name} <b>👨‍👩‍👧‍👦</b>",
            f"{name} (2-3쪽)",
        )
    )


def _ids_from_zero(record: Record, random: Random) -> None:
    for number, habit in enumerate(record["habits"]):
        habit["id"] = number


def _same_ids(record: Record, random: Random) -> None:
    for habit in record["habits"]:
        habit["id"] = 1


def _many_habits(record: Record, random: Random) -> None:
    record["habits"] += [
        {"id": 20 + number, "name": f"단어 {number}개 외우기", "times": random.choices(("", "green"), k=7)}
        for number in range(random.randint(3, 25))
    ]


def _null_texts(record: Record, random: Random) -> None:
    record["theme"] = record["reward"] = None
    record["reflection"] = random.choice((None, {}, {"bestDay": None}))


def _period_only(record: Record, random: Random) -> None:
    record["week_start_date"] = None


def _padded_child(record: Record, random: Random) -> None:
    record["child_name"] = random.choice((f"{record['child_name']} ", f" {record['child_name']}"))


def _unknown_keys(record: Record, random: Random) -> None:
    _first(record)["color"] = "#ffcc00"
    record["reflection"]["mood"] = 4


ODDITIES: tuple[Callable[[Record, Random], None], ...] = (
    _habits_as_text,
    _no_habits,
    _no_times,
    _short_times,
    _long_times,
    _blank_words,
    _same_name,
    _strange_name,
    _ids_from_zero,
    _same_ids,
    _many_habits,
    _null_texts,
    _period_only,
    _padded_child,
    _unknown_keys,
)
