"""Where two answers differ; pure. What families wrote is not shown, only what kind of thing stands in the place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from habits.endpoint_comparison.asking import Answer

MOST_PLACES = 5

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the answers, such as `status`, `ETag` or `habits[2].times[0]`, and what kind of thing is there."""

    path: str
    legacy: str
    modern: str


def places(legacy: Answer, modern: Answer) -> list[Place]:
    """The first places where the answers differ; empty if and only if they are the same, and none is a failure."""
    return list(islice(_places(legacy, modern), MOST_PLACES))


def _places(legacy: Answer, modern: Answer) -> Iterator[Place]:
    if legacy.status != modern.status or legacy.status >= 500:
        yield Place("status", str(legacy.status), str(modern.status))
    for name in sorted(legacy.headers.keys() | modern.headers.keys()):
        one, other = legacy.headers.get(name, _ABSENT), modern.headers.get(name, _ABSENT)
        if one != other:
            yield Place(name, masked(one), masked(other))
    if legacy.body == modern.body:
        return
    try:
        before, after = json.loads(legacy.body), json.loads(modern.body)
    except ValueError:
        before = after = None
    found = False
    for place in _within("", before, after):
        found = True
        yield place
    if not found:
        yield Place("bytes", f"{len(legacy.body):,} bytes", f"{len(modern.body):,} bytes")


def masked(value: object) -> str:
    """What kind of thing it is."""
    if value is _ABSENT:
        return "nothing"
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"a text of {len(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    return "a truth value" if isinstance(value, bool) else "a number"


def _within(path: str, legacy: Any, modern: Any) -> Iterator[Place]:
    if isinstance(legacy, dict) and isinstance(modern, dict):
        for name in dict.fromkeys([*legacy, *modern]):
            place = f"{path}.{name}" if path else name
            yield from _within(place, legacy.get(name, _ABSENT), modern.get(name, _ABSENT))
    elif isinstance(legacy, list) and isinstance(modern, list):
        for position in range(max(len(legacy), len(modern))):
            one = legacy[position] if position < len(legacy) else _ABSENT
            other = modern[position] if position < len(modern) else _ABSENT
            yield from _within(f"{path}[{position}]", one, other)
    elif type(legacy) is not type(modern) or legacy != modern:
        yield Place(path, masked(legacy), masked(modern))
