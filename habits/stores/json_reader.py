"""Reads a JSON file of any size record by record, once, in constant memory, and knows the place of every byte.

Three forms: an object with an array `records`, a bare array, one value a line (`*.ndjson`, `*.jsonl`). What makes the
file as a whole unusable raises `UnusableInput` with the place; what is wrong with one record is that record's `fault`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from habits.stores.json_punctuation import colon, separator, space, unexpected
from habits.stores.json_record import Decoded, Fault, RecordDecoder, TooDeepError
from habits.stores.json_skipping import MAX_IDENTIFYING, skip
from habits.stores.json_window import Source, Window
from habits.stores.legacy_rows import MAX_RECORD_BYTES
from migration_ops.definition import Json
from migration_ops.exceptions import UnusableInput

CHUNK_BYTES = 1024 * 1024

_TOO_DEEP = "The record is nested too deeply to be read."
_CUT_OFF_MARGIN = 16
_LINES_HINT = " If each line holds one row, name the file *.ndjson or *.jsonl."


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands in the file.

    Attributes:
        ordinal: its number in the file, from 1.
        start, end: bytes from the beginning of the file; `end` is exclusive.
        line: from 1.
        fingerprint: of its bytes.
        text: its bytes as text; "" if it is too large to be held.
        value: what it says. Of an object too large or too deep to be held only what a row is known by
            (`json_skipping.IDENTIFYING`), of anything else that is, None.
        fault: why it cannot be a row, or None.
        ambiguous: keys that stand twice in the record itself.
    """

    ordinal: int
    start: int
    end: int
    line: int
    fingerprint: str
    text: str
    value: Json
    fault: Fault | None
    ambiguous: frozenset[str] = frozenset()


def fingerprint(raw: bytes) -> str:
    """Of a record's bytes."""
    return blake2b(raw, digest_size=16).hexdigest()


class JsonReader:
    """One pass over one file.

    Attributes:
        records_start: the byte where the first record may stand; known once `records` is exhausted.
    """

    def __init__(
        self,
        stream: Source,
        name: str,
        *,
        lines: bool,
        chunk: int = CHUNK_BYTES,
        limit: int = MAX_RECORD_BYTES,
    ) -> None:
        self.records_start = 0
        self._lines = lines
        self._limit = limit
        self._window = Window(stream, name, chunk, limit)
        self._decoder = RecordDecoder()
        self._ordinal = 0

    def records(self) -> Iterator[Record]:
        """Every record in the order of the file.

        Raises:
            UnusableInput: the file is empty, truncated, not UTF-8, not JSON, or of none of the three forms.
        """
        window = self._window
        window.fill()
        if window.text == "":
            raise UnusableInput(f"{window.name} is empty.")
        if window.peek() == "\ufeff":
            window.move(1)
        self.records_start = window.byte
        if self._lines:
            yield from self._read_lines()
            return
        space(window)
        match window.peek():
            case "[":
                yield from self._read_array()
            case "{":
                yield from self._read_object()
            case "":
                raise UnusableInput(f"{window.name} holds nothing but white space.")
            case _:
                raise window.error(window.pos, "neither an array nor an object begins here")
        space(window)
        if found := window.peek():
            raise window.error(window.pos, f"the data ended, but {found!r} follows.{_LINES_HINT}")

    def _read_object(self) -> Iterator[Record]:
        window, found = self._window, False
        window.move(window.pos + 1)
        space(window)
        while window.peek() != "}":
            name = self._member_name()
            if name != "records":
                self._value()
            elif found:
                raise window.error(window.pos, "`records` stands here a second time")
            elif window.peek() == "[":
                found = True
                yield from self._read_array()
            else:
                raise window.error(window.pos, "`records` is not an array")
            separator(window, "}")
        if not found:
            raise window.error(window.pos, f"the object has no `records`.{_LINES_HINT}")
        window.move(window.pos + 1)

    def _read_array(self) -> Iterator[Record]:
        window = self._window
        window.move(window.pos + 1)
        self.records_start = window.byte
        space(window)
        while window.peek() != "]":
            self._ordinal += 1
            yield self._value()
            separator(window, "]")
        window.move(window.pos + 1)

    def _member_name(self) -> str:
        window = self._window
        window.fill()
        if window.peek() != '"':
            raise unexpected(window, "a name in double quotes")
        name = self._decode()
        if name is None or not isinstance(name.value, str):
            raise window.error(window.pos, "this name is too long")
        window.move(name.end)
        colon(window)
        return name.value

    def _value(self) -> Record:
        """The value here as a record; afterwards the window stands behind it."""
        window = self._window
        window.fill()
        start, line = window.byte, window.line
        decoded = self._decode()
        if decoded is not None:
            raw = window.text[window.pos : decoded.end].encode()
            if len(raw) <= self._limit:
                text = window.text[window.pos : decoded.end]
                window.move(decoded.end, raw)
                return Record(
                    self._ordinal,
                    start,
                    window.byte,
                    line,
                    fingerprint(raw),
                    text,
                    decoded.value,
                    decoded.fault,
                    decoded.ambiguous,
                )
        return self._skipped()

    def _read_lines(self) -> Iterator[Record]:
        window = self._window
        while True:
            space(window)
            window.fill()
            if not window.peek():
                return
            self._ordinal += 1
            stop = window.text.find("\n", window.pos)
            if stop < 0 and not window.ended:
                yield self._long_line()
            else:
                yield self._line(stop)

    def _line(self, stop: int) -> Record:
        """The record from here to this index, or to the end of the file if it is -1."""
        window = self._window
        start, line = window.byte, window.line
        text = window.text[window.pos : None if stop < 0 else stop].rstrip(" \t\r")
        raw = text.encode()
        if len(raw) > self._limit:
            return self._long_line()
        try:
            decoded = self._decoder.decode(text)
        except TooDeepError:
            return self._long_line()
        except json.JSONDecodeError as error:
            if stop < 0 and (error.msg.startswith("Unterminated string") or error.pos >= len(text)):
                raise window.truncated() from None
            raise window.error(window.pos + error.pos, _sentence(error.msg)) from None
        if decoded.end < len(text):
            raise window.error(window.pos + decoded.end, "the line goes on after its value")
        window.move(window.pos + len(text), raw)
        return Record(
            self._ordinal,
            start,
            window.byte,
            line,
            fingerprint(raw),
            text,
            decoded.value,
            decoded.fault,
            decoded.ambiguous,
        )

    def _long_line(self) -> Record:
        """The record of a line that is too long or too deep to be held."""
        window = self._window
        record = self._skipped()
        if window.line > record.line:
            raise window.error(window.pos, f"the value of line {record.line} goes on beyond the line")
        space(window)
        if window.peek() and window.line == record.line:
            raise window.error(window.pos, "the line goes on after its value")
        return record

    def _skipped(self) -> Record:
        """The record here, of which only what it is known by is held."""
        window = self._window
        start, line = window.byte, window.line
        hasher = window.hasher = blake2b(digest_size=16)
        identity = skip(window, min(MAX_IDENTIFYING, self._limit))
        window.hasher = None
        size = window.byte - start
        fault = Fault("record_too_large", _TOO_DEEP if size <= self._limit else self._size_message(size))
        value, ambiguous = (identity.value, identity.ambiguous) if identity else (None, frozenset[str]())
        return Record(self._ordinal, start, window.byte, line, hasher.hexdigest(), "", value, fault, ambiguous)

    def _size_message(self, size: int) -> str:
        return f"The record has {size:,} bytes; at most {self._limit:,} can be taken."

    def _decode(self) -> Decoded | None:
        """What stands here, or None where it is too long or too deep to be looked at."""
        window = self._window
        try:
            decoded = self._decoder.decode(window.text, window.pos)
        except TooDeepError:
            return None
        except json.JSONDecodeError as error:
            unterminated = error.msg.startswith("Unterminated string")
            if not unterminated and error.pos < len(window.text.rstrip()) - _CUT_OFF_MARGIN:
                raise window.error(error.pos, _sentence(error.msg)) from None
            if not window.ended:
                return None
            if unterminated or error.pos >= len(window.text.rstrip()):
                raise window.truncated() from None
            raise window.error(error.pos, _sentence(error.msg)) from None
        if decoded.end == len(window.text) and not window.ended:
            return None
        return decoded


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:]
