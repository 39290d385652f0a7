"""A sliding window of decoded text over a file of any size, which knows the place of its position."""

from __future__ import annotations

import codecs
from hashlib import blake2b
from typing import Protocol

from migration_ops.exceptions import UnusableInput


class Source(Protocol):
    """Anything that gives its bytes piece by piece, none at its end."""

    def read(self, size: int, /) -> bytes: ...


class Window:
    """The part of the file that is held as text, and the place of its current position.

    Attributes:
        text, pos: what is held, and the index of the current position in it.
        ended: the file ends where the text ends.
        byte, line, column: the current position's place; bytes from 0, lines and columns from 1.
        hasher: fed with every byte that is gone past, while it is set.
    """

    def __init__(self, stream: Source, name: str, chunk: int, ahead: int) -> None:
        self.name = name
        self.text, self.pos, self.ended = "", 0, False
        self.byte, self.line, self.column = 0, 1, 1
        self.hasher: blake2b | None = None
        self._stream, self._chunk, self._ahead = stream, chunk, ahead
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._fed = 0

    def peek(self) -> str:
        """The character here, or "" at the end of the file."""
        return self.text[self.pos : self.pos + 1]

    def fill(self) -> None:
        """Hold more than `ahead` characters from here on, or all there are.

        Raises:
            UnusableInput: they are not UTF-8.
        """
        held = len(self.text) - self.pos
        if held > self._ahead or self.ended:
            return
        parts = [self.text[self.pos :]]
        while held <= self._ahead and not self.ended:
            data = self._stream.read(self._chunk)
            self.ended = not data
            parts.append(self._decode(data))
            held += len(parts[-1])
        self.text, self.pos = "".join(parts), 0

    def move(self, to: int, raw: bytes | None = None) -> None:
        """Go to this index; `raw` is what is gone past, if the caller has it as bytes."""
        piece = self.text[self.pos : to]
        raw = piece.encode() if raw is None else raw
        self.byte += len(raw)
        breaks = piece.count("\n")
        self.line += breaks
        self.column = len(piece) - piece.rfind("\n") if breaks else self.column + len(piece)
        self.pos = to
        if self.hasher is not None:
            self.hasher.update(raw)

    def advance(self, to: int) -> None:
        """Go to this index in the middle of a value, and read on.

        Raises:
            UnusableInput: the file ends before the value does.
        """
        self.move(to)
        if self.ended:
            raise self.truncated()
        self.fill()

    def error(self, at: int, problem: str) -> UnusableInput:
        """Says that the file cannot be used because of what stands at this index."""
        self.hasher = None
        self.move(max(at, self.pos))
        return UnusableInput(
            f"{self.name} cannot be read: {problem} (line {self.line}, column {self.column}, byte {self.byte})."
        )

    def truncated(self) -> UnusableInput:
        """Says that the file ends in the middle of the value that begins here, or was begun here."""
        line, byte = self.line, self.byte
        while not self.ended:
            self.move(len(self.text))
            self.fill()
        self.move(len(self.text))
        return UnusableInput(
            f"{self.name} is truncated: it ends at byte {self.byte} (line {self.line}), in the middle of the value "
            f"that was being read at line {line}, byte {byte}."
        )

    def _decode(self, data: bytes) -> str:
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            byte = self._fed - (len(error.object) - len(data)) + error.start
            if not data:
                raise UnusableInput(
                    f"{self.name} is truncated: it ends in the middle of a character that begins at byte {byte}."
                ) from None
            value = error.object[error.start]
            raise UnusableInput(f"{self.name} is not UTF-8: byte {byte} is 0x{value:02x}.") from None
        self._fed += len(data)
        return text
