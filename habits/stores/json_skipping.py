"""Goes past a value too large or too deep to be held, in constant memory, and picks up what a row is known by."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from habits.stores.json_punctuation import colon, separator, space, unexpected
from habits.stores.json_window import Window
from migration_ops.definition import Json

MAX_NESTING = 1024 * 1024
"""Deeper than this the file is refused: telling where such a record ends would take unbounded memory."""

IDENTIFYING = frozenset({"id", "user_id", "child_name", "week_start_date", "week_period"})
"""The columns that say which row it is, and to which board it belongs."""

MAX_IDENTIFYING = 4 * 1024
"""Characters of JSON text that one of their values may have to be looked at."""

_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL)
_STRING_BODY = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_BARE = re.compile(r"[^ \t\n\r,\[\]{}]*")
_SCALAR = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[^ \t\n\r,\[\]{}"]+', re.DOTALL)
_OTHERS = re.compile(
    rf"""(?:"(?!(?:{"|".join(sorted(IDENTIFYING))})")[^"\\]*+"[ \t\n\r]*+:[ \t\n\r]*+"""
    r"""(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^ \t\n\r,:\[\]{}"]++)[ \t\n\r]*+,[ \t\n\r]*+(?="))++""",
    re.DOTALL,
)
"""Members that identify nothing and hold scalars, up to the name of the next member: many of them are fast this way."""

_CLOSED_BY = {"[": "]", "{": "}"}
_NAMES_NOTHING = False
"""Stands for a value that is no scalar, or too long: unlike a missing one, it says that the column is not blank."""

_SCALARS = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of an object that was gone past.

    Attributes:
        value: those of its own members that are `IDENTIFYING`; where one stands twice, the last one.
        ambiguous: names of those that stand in it twice.
    """

    value: dict[str, Json]
    ambiguous: frozenset[str]


def skip(window: Window, longest: int = MAX_IDENTIFYING) -> Identity | None:
    """Go past the value here; of its content only strings, brackets and its own members' names are looked at.

    Args:
        window: at the first character of the value; it holds more than `longest` characters ahead.
        longest: characters of JSON text that an identifying value may have.

    Returns: what the value is known by; None if it is no object.

    Raises:
        UnusableInput: the file ends before the value does, or its structure is broken.
    """
    if window.peek() == "{":
        return _skip_object(window, longest)
    _skip_any(window)
    return None


def _skip_object(window: Window, longest: int) -> Identity:
    value: dict[str, Json] = {}
    ambiguous: set[str] = set()
    window.move(window.pos + 1)
    space(window)
    while window.peek() != "}":
        if window.peek() != '"':
            raise unexpected(window, "a name in double quotes")
        if others := _OTHERS.match(window.text, window.pos):
            window.move(others.end())
        name = _pass_scalar(window, longest)
        colon(window)
        if name in IDENTIFYING:
            if name in value:
                ambiguous.add(name)
            value[name] = _pass_scalar(window, longest)
        else:
            _skip_any(window)
        separator(window, "}")
    window.move(window.pos + 1)
    return Identity(value, frozenset(ambiguous))


def _pass_scalar(window: Window, longest: int) -> Json:
    """Go past the value here; what it says if it is a scalar and not too long."""
    window.fill()
    limit = window.pos + longest
    found = _SCALAR.match(window.text, window.pos, limit + 1)
    if found is None or found.end() > limit:
        _skip_any(window)
        return _NAMES_NOTHING
    window.move(found.end())
    try:
        return _SCALARS.decode(found.group())
    except ValueError:
        return _NAMES_NOTHING


def _skip_any(window: Window) -> None:
    match window.peek():
        case "[" | "{":
            _skip_nested(window)
        case '"':
            _skip_string(window)
        case _:
            _skip_bare(window)


def _skip_nested(window: Window) -> None:
    stack = bytearray()
    at = window.pos
    while True:
        found = _STRUCTURE.search(window.text, at)
        if found is None:
            window.advance(len(window.text))
            at = window.pos
            continue
        piece, at = found.group(), found.end()
        if piece in _CLOSED_BY:
            stack.append(ord(_CLOSED_BY[piece]))
            if len(stack) > MAX_NESTING:
                raise window.error(found.start(), f"the data is nested deeper than {MAX_NESTING:,} levels")
        elif piece == '"':
            window.move(found.start())
            _skip_string(window)
            at = window.pos
        elif len(piece) == 1:
            if stack.pop() != ord(piece):
                raise window.error(found.start(), f"{piece!r} closes what it did not open")
            if not stack:
                window.move(at)
                return


def _skip_string(window: Window) -> None:
    window.move(window.pos + 1)
    while True:
        found = _STRING_BODY.match(window.text, window.pos)
        end = window.pos if found is None else found.end()
        if window.text[end : end + 1] == '"':
            window.move(end + 1)
            return
        window.advance(end)


def _skip_bare(window: Window) -> None:
    while True:
        found = _BARE.match(window.text, window.pos)
        end = window.pos if found is None else found.end()
        window.move(end)
        if end < len(window.text) or window.ended:
            return
        window.fill()
