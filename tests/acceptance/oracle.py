"""The declared policy once more, written from the contract alone, slowly and without sharing a line with the product.

What the product moves is compared with what this says. It knows nothing of stores, batches or speed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

WEEKDAYS = 7
KNOWN = {"green", "yellow", "red"}
PERIOD = re.compile(r"(\d{4})년\s*(\d{1,2})월\s*(\d{1,2})일")
ANSWERS = ("bestDay", "easiestHabit", "nextWeekGoal")
BAND = re.compile(r"(아침|오전|점심|오후|저녁|밤)\s*\(\s*\d[^()]*시\s*\)")

Key = tuple[str, str, str]


@dataclass
class Expected:
    """What must be in the modern tables, and what must be in quarantine, by row as the product names it."""

    boards: dict[Key, dict[str, Any]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    @property
    def marks(self) -> int:
        return sum(mark != "none" for board in self.boards.values() for _, times in board["habits"] for mark in times)


class Object(dict[str, Any]):
    """A JSON object that knows whether a key stood in it twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = len(pairs) > len(self)


def read(text: str) -> Any:
    """JSON, with what `json.loads` is silent about kept visible."""
    return json.loads(
        text, object_pairs_hook=Object, parse_constant=lambda name: float(name.replace("Infinity", "inf"))
    )


def expect(rows: Iterable[Mapping[str, Any]], owners: set[str]) -> Expected:
    """The boards and rejections that these legacy rows must become; rows in the order of their store, as `read`."""
    expected = Expected()
    groups: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    spoiled: set[Key] = set()
    listed = list(rows)
    ids = Counter(row.get("id") if isinstance(row, dict) else None for row in listed)
    for number, row in enumerate(listed, start=1):
        if not isinstance(row, dict) or ids[row.get("id")] > 1 or type(row.get("id")) is not int:
            code = "duplicate_key" if isinstance(row, dict) else "habits_malformed"
            expected.rejected[f"#{number}"] = limit_of(row) or code
            if isinstance(row, dict) and (spoiled_key := key_of(row, owners)[0]):
                spoiled.add(spoiled_key)
            continue
        key, code = key_of(row, owners)
        code = limit_of(row) or code
        content = None
        if code is None:
            content, code = content_of(row)
        if code is not None:
            expected.rejected[str(row["id"])] = code
            if key is not None:
                spoiled.add(key)
        elif key is not None and content is not None:
            groups[key].append({"id": row["id"], **content})
    for key, members in groups.items():
        if key in spoiled:
            expected.held.update(str(member["id"]) for member in members)
        else:
            expected.boards[key] = merged(members)
    return expected


def limit_of(row: Any) -> str | None:
    """The code of a row that is too much as a whole, or not what text and JSON may be."""
    nested = [read_or_none(row.get(name)) for name in ("habits", "reflection")] if isinstance(row, dict) else []
    if len(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")) > 1_048_576:
        return "record_too_large"
    if depth(row) > 32 or any(depth(value) > 31 for value in nested):
        return "record_too_large"
    parts = [part for value in (row, *nested) for part in everything(value)]
    if any(isinstance(part, Object) and part.twice for part in parts):
        return "duplicate_key"
    if isinstance(row, dict) and any(
        isinstance(part, str) and ("\x00" in part or any("\ud800" <= letter <= "\udfff" for letter in part))
        for part in texts_of(row, nested)
    ):
        return "text_invalid"
    return None


def read_or_none(value: Any) -> Any:
    try:
        return read(value) if isinstance(value, str) else None
    except ValueError:
        return None


def texts_of(row: Mapping[str, Any], nested: list[Any]) -> list[Any]:
    habits = nested[0] if nested[0] is not None else row.get("habits")
    reflection = nested[1] if nested[1] is not None else row.get("reflection")
    names = [habit.get("name") for habit in habits if isinstance(habit, dict)] if isinstance(habits, list) else []
    answers = list(reflection.values()) if isinstance(reflection, dict) else []
    return [row.get("child_name"), row.get("theme"), row.get("reward"), *names, *answers]


def everything(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        for part in value.values():
            yield from everything(part)
    elif isinstance(value, list):
        for part in value:
            yield from everything(part)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def key_of(row: Mapping[str, Any], owners: set[str]) -> tuple[Key | None, str | None]:
    owner = row.get("user_id")
    if not owner:
        return None, "owner_missing"
    if str(owner) not in owners:
        return None, "owner_unknown"
    name = row.get("child_name")
    child = unicodedata.normalize("NFC", name.strip()) if isinstance(name, str) else ""
    if not 1 <= len(child) <= 100:
        return None, "child_name_invalid"
    monday = monday_of(row)
    if monday is None:
        return None, "week_unreadable"
    return (str(owner), child, monday.isoformat()), None


def monday_of(row: Mapping[str, Any]) -> date | None:
    text = row.get("week_start_date")
    try:
        if text:
            day = date(*map(int, str(text).split("-")))
        else:
            found = PERIOD.match((row.get("week_period") or "").strip())
            if found is None:
                return None
            day = date(*map(int, found.groups()))
    except (ValueError, TypeError):
        return None
    monday = day - timedelta(days=day.weekday())
    return monday if 2000 <= monday.year <= 2100 else None


def content_of(row: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    habits = row.get("habits")
    if isinstance(habits, str):
        try:
            habits = json.loads(habits) if habits else []
        except ValueError:
            return None, "habits_malformed"
    if habits is None:
        habits = []
    if not isinstance(habits, list) or any(not isinstance(habit, dict) for habit in habits):
        return None, "habits_malformed"
    lines = []
    for habit in habits:
        name = habit.get("name")
        if not isinstance(name, str) or not name.strip() or len(name) > 200:
            return None, "habit_name_invalid"
        times = habit.get("times")
        times = [] if times is None else times
        if not isinstance(times, list):
            return None, "times_malformed"
        if any(mark not in (None, "", "none") for mark in times[WEEKDAYS:]):
            return None, "times_too_long"
        marks = []
        for mark in [*times[:WEEKDAYS], *[""] * (WEEKDAYS - len(times))]:
            if mark in (None, "", "none"):
                marks.append("none")
            elif mark in KNOWN:
                marks.append(mark)
            else:
                return None, "status_unknown"
        lines.append((name, marks))
    reflection = row.get("reflection") or {}
    if isinstance(reflection, str):
        reflection = read_or_none(reflection)
    if not isinstance(reflection, dict) or any(
        not isinstance(reflection.get(answer), str | None) for answer in ANSWERS
    ):
        return None, "reflection_malformed"
    return {
        "theme": row.get("theme") or "",
        "reward": row.get("reward") or "",
        "reflection": {answer: reflection.get(answer) or "" for answer in ANSWERS},
        "habits": lines,
    }, None


def merged(members: list[dict[str, Any]]) -> dict[str, Any]:
    first, *rest = sorted(members, key=lambda member: -member["id"])
    board = {
        "theme": first["theme"],
        "reward": first["reward"],
        "reflection": dict(first["reflection"]),
        "habits": [(name, list(times)) for name, times in first["habits"]],
    }
    for lower in rest:
        board["theme"] = board["theme"] or lower["theme"]
        board["reward"] = board["reward"] or lower["reward"]
        for answer in ANSWERS:
            board["reflection"][answer] = board["reflection"][answer] or lower["reflection"][answer]
        taken: set[int] = set()
        present = len(board["habits"])
        for name, times in lower["habits"]:
            place = next(
                (n for n in range(present) if n not in taken and board["habits"][n][0].strip() == name.strip()),
                None,
            )
            if place is None:
                board["habits"].append((name, list(times)))
                continue
            taken.add(place)
            kept = board["habits"][place][1]
            kept[:] = [mine if mine != "none" else theirs for mine, theirs in zip(kept, times, strict=True)]
    return board


def band_of(name: str) -> str | None:
    """The leading time band of a habit's name, or None."""
    found = BAND.match(name)
    return found.group(0) if found else None
