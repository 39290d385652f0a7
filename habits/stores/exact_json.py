"""JSON text to values and back without losing anything: exact numbers, duplicate keys noticed, depth bounded."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

Json = Any


class UnreadableJson(ValueError):
    """The text is no JSON value that a row may hold.

    Attributes:
        code: the quarantine code this amounts to, or "" where the text is simply no JSON.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def exact_number(text: str) -> float | Decimal:
    """A float where it says exactly what the text says, otherwise a `Decimal`."""
    number = float(text)
    return number if Decimal(repr(number)) == Decimal(text) else Decimal(text)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise UnreadableJson(f"An object has the key {short(twice)} twice.", "duplicate_key")


def _no_constant(text: str) -> Json:
    raise UnreadableJson(f"{text} is no JSON.")


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_float=exact_number, parse_constant=_no_constant)
_CANONICAL = json.JSONDecoder(parse_float=exact_number)


def decode_strict(text: str) -> Json:
    """The value of JSON text that anybody may have written.

    Raises:
        UnreadableJson: no JSON, a key twice in one object, nested too deeply, or a number beyond all bounds.
    """
    return _decode(_STRICT, text)


def decode_jsonb(text: str) -> Json:
    """The value of what PostgreSQL gives for a jsonb column: it is valid and has no duplicate keys.

    Raises:
        UnreadableJson: nested too deeply, or a number beyond all bounds.
    """
    return _decode(_CANONICAL, text)


def _decode(decoder: json.JSONDecoder, text: str) -> Json:
    try:
        return decoder.decode(text)
    except UnreadableJson:
        raise
    except RecursionError:
        raise UnreadableJson("JSON is nested too deeply.", "record_too_large") from None
    except json.JSONDecodeError as error:
        raise UnreadableJson(f"No JSON: {error}.") from None
    except (ValueError, ArithmeticError):
        raise UnreadableJson("A number has more digits than can be read.", "record_too_large") from None


def encode(value: Json) -> str:
    """The value as JSON text, numbers exactly as they were read."""
    placeholder = uuid4().hex
    exact: list[str] = []

    def number(decimal: object) -> str:
        if not isinstance(decimal, Decimal):
            raise TypeError(f"{type(decimal).__name__} is no JSON.")
        exact.append(str(decimal))
        return f"{placeholder}{len(exact) - 1}."

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=number)
    for index, digits in enumerate(exact):
        text = text.replace(f'"{placeholder}{index}."', digits)
    return text


def deeper_than(value: Json, limit: int) -> bool:
    """Whether arrays and objects are nested in more than `limit` levels, the value itself being the first."""
    level = [value]
    for _ in range(limit + 1):
        following: list[Json] = []
        nested = False
        for item in level:
            if isinstance(item, dict):
                nested = True
                following.extend(item.values())
            elif isinstance(item, list):
                nested = True
                following.extend(item)
        if not nested:
            return False
        level = following
    return True


def short(value: Json) -> str:
    """The value for a message: at most 60 characters, and none that a database refuses."""
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}…"
