"""The JSON text of one record: what it says, what is wrong with it, and how to change a part and leave the rest.

Pure. `json` from the standard library does the work; this module adds what it lets pass silently (a key that stands
twice, NaN, NUL, lone surrogates, depth) and keeps numbers as they were written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from habits.stores.legacy_rows import MAX_DEPTH
from migration_ops.definition import Json

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE_OR_NUL = re.compile("[\x00\ud800-\udfff]")
_CONTROL_MESSAGE = "Invalid control character"

_NON_FINITE_CODES = {
    "id": "duplicate_key",
    "user_id": "owner_unknown",
    "child_name": "child_name_invalid",
    "week_period": "week_unreadable",
    "week_start_date": "week_unreadable",
    "habits": "habits_malformed",
    "reflection": "reflection_malformed",
}


class Verbatim(float):
    """A number that is written back with the digits it was read with."""

    text: str

    def __new__(cls, text: str) -> Verbatim:
        number = super().__new__(cls, text)
        number.text = text
        return number


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record cannot be taken: a rejection code, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """One value of a JSON text.

    Attributes:
        value: what it says; where a key stands twice, the last one's.
        end: index of the first character after it.
        fault: why it cannot be a row, or None.
        ambiguous: keys of the value itself that stand in it twice.
    """

    value: Json
    end: int
    fault: Fault | None
    ambiguous: frozenset[str] = frozenset()


class TooDeepError(ValueError):
    """The value is nested too deeply to be looked at."""


class RecordDecoder:
    """Decodes records one after the other; not to be shared between threads."""

    def __init__(self) -> None:
        self._doubled: str | None = None
        self._ambiguous: frozenset[str] = frozenset()
        self._non_finite = False
        self._plain = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)
        self._exact = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_float=Verbatim,
            parse_int=_exact_int,
            strict=False,
        )

    def decode(self, text: str, at: int = 0, *, exact: bool = False) -> Decoded:
        """The value that begins at this index. With `exact`, fractions and huge integers come as `Verbatim`.

        Raises:
            json.JSONDecodeError: there is no JSON value.
            TooDeepError: it is nested deeper than can be looked at.
        """
        self._doubled, self._ambiguous, self._non_finite = None, frozenset(), False
        try:
            value, end, control = self._decode(text, at, exact)
        except RecursionError:
            raise TooDeepError from None
        return Decoded(value, end, self._fault(text, at, value, end, control), self._ambiguous)

    def _decode(self, text: str, at: int, exact: bool) -> tuple[Json, int, bool]:
        if not exact:
            try:
                value, end = self._plain.raw_decode(text, at)
            except json.JSONDecodeError as error:
                if not error.msg.startswith(_CONTROL_MESSAGE):
                    raise
            except ValueError:
                # Python refuses to make an int of more than 4,300 digits.
                self._doubled = None
            else:
                return value, end, False
        value, end = self._exact.raw_decode(text, at)
        return value, end, any(_CONTROL.search(found.group()) for found in _STRING.finditer(text, at, end))

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        self._ambiguous = frozenset()
        if len(made) != len(pairs):
            names = [name for name, _ in pairs]
            self._ambiguous = frozenset(name for name in made if names.count(name) > 1)
            self._doubled = self._doubled or min(self._ambiguous)
        return made

    def _constant(self, name: str) -> float:
        self._non_finite = True
        return float(name)

    def _fault(self, text: str, at: int, value: Json, end: int, control: bool) -> Fault | None:
        if text.count("[", at, end) + text.count("{", at, end) > MAX_DEPTH and depth(value) > MAX_DEPTH:
            return Fault("record_too_large", f"The record is nested deeper than {MAX_DEPTH} levels.")
        if not isinstance(value, dict):
            return Fault("habits_malformed", f"The record is {_kind(value)}, not an object.")
        if self._doubled is not None:
            return Fault("duplicate_key", f"The key {_shown(self._doubled)} stands twice in one object.")
        if control:
            return Fault("text_invalid", "A text contains a control character that is not escaped.")
        if _SUSPICIOUS_ESCAPE.search(text, at, end) and any(_SURROGATE_OR_NUL.search(part) for part in _texts(value)):
            return Fault("text_invalid", "A text contains NUL or half of a surrogate pair.")
        if self._non_finite:
            return _non_finite_fault(value)
        return None


_FAST = json.JSONDecoder()


def decode_checked(text: str) -> Json:
    """What the text of a record says in which `RecordDecoder` found no fault; faster, for it looks for none."""
    try:
        return _FAST.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # An integer of more than 4,300 digits.
        return RecordDecoder().decode(text).value


def depth(value: Json) -> int:
    """How many arrays and objects lie inside one another; 0 for anything else. Does not recurse."""
    levels = 0
    level = [value] if isinstance(value, dict | list) else []
    while level:
        levels += 1
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
    return levels


def rewrite(text: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> str:
    """The text of an object with the members changed that differ between `old` and `new`, and every other byte kept.

    `old` is what `decode(text, exact=True)` gave. Members that `new` lacks are kept as well.
    """
    spans, last_end, lead = _members(text)
    changes: list[tuple[int, int, str]] = []
    appended = ""
    for name, value in new.items():
        said = dump(value)
        if name not in spans:
            appended += ("," if spans or appended else "") + lead + dump(name) + ": " + said
        elif name not in old or said != dump(old[name]):
            changes.append((*spans[name], said))
    if appended:
        changes.append((last_end, last_end, appended))
    for start, end, said in sorted(changes, reverse=True):
        text = text[:start] + said + text[end:]
    return text


def dump(value: Json) -> str:
    """The value as JSON on one line, not escaped beyond need, numbers as they were read."""
    if isinstance(value, Verbatim):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(name)}: {dump(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(dump(inner) for inner in value) + "]"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value, allow_nan=False)


def _text(value: str) -> str:
    escaped = json.dumps(value, ensure_ascii=bool(_SURROGATE_OR_NUL.search(value)))
    # Valid JSON, but some readers of lines break at these.
    return escaped.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _members(text: str) -> tuple[dict[str, tuple[int, int]], int, str]:
    """Where each member's value stands, where the last one ends, and the white space before the last one's name."""
    decoder = json.JSONDecoder(parse_int=_exact_int, strict=False)
    spans: dict[str, tuple[int, int]] = {}
    at = last_end = text.index("{") + 1
    lead = ""
    while True:
        name_at = _after_space(text, at)
        if text[name_at] == "}":
            return spans, last_end, lead
        lead = text[at:name_at]
        name, at = decoder.raw_decode(text, name_at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, last_end = decoder.raw_decode(text, start)
        spans[name] = (start, last_end)
        at = _after_space(text, last_end)
        if text[at] == ",":
            at += 1


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _exact_int(text: str) -> int | Verbatim:
    return int(text) if len(text) <= 20 and text != "-0" else Verbatim(text)


def _inside(value: Json) -> Iterator[Json]:
    return iter(value.values()) if isinstance(value, dict) else iter(value)


def _texts(value: Json) -> Iterator[str]:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, dict):
            yield from current
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)


def _non_finite_fault(record: Mapping[str, Json]) -> Fault:
    name = next((name for name, value in record.items() if holds_non_finite(value)), "")
    code = _NON_FINITE_CODES.get(name, "text_invalid")
    return Fault(code, f"{_shown(name)} holds NaN or Infinity, which is no JSON number.")


def holds_non_finite(value: Json) -> bool:
    """Whether it contains a number that is none, or one beyond all bounds of a float."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, float) and current - current != 0:
            return True
        if isinstance(current, dict | list):
            waiting.extend(_inside(current))
    return False


def _shown(name: str) -> str:
    return json.dumps(name[:60], ensure_ascii=True)


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    names = {bool: "a truth value", str: "a text", list: "an array"}
    return names.get(type(value), "a number")
