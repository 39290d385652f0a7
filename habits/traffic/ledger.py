"""What was asked for and what was acknowledged, in memory and, line by line, in a file that outlives a killed process.

Every line of a board that the traffic added has a name of its own, and only the traffic writes to it. So whatever else
happens to the board meanwhile, it is known what the line may say: `possible`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import IO, Any

from habits.board import BLANK, DAYS, BoardKey, decode_key, encode_key
from migration_ops.exceptions import UnusableInput

PREFIX = "traffic"
"""Names of lines begin with this and the run, so that everybody sees where they come from."""


@dataclass(slots=True)
class Write:
    """One change that was asked for.

    Attributes:
        day: of the cell; None adds the line.
        begun: when it was sent, by the clock of this machine.
        ended: when it was acknowledged; None where nobody knows whether it was made.
    """

    number: int
    name: str
    day: int | None
    status: str
    begun: float
    ended: float | None = None


@dataclass(slots=True)
class Line:
    """A line that the traffic added: on which board, and everything that was asked for it since, first the addition."""

    key: BoardKey
    added: Write
    marks: list[Write] = field(default_factory=list)

    @property
    def writes(self) -> list[Write]:
        return [self.added, *self.marks]

    def cell(self, day: int) -> list[Write]:
        """What was written to this cell; the addition made it blank."""
        return [self.added, *(write for write in self.marks if write.day == day)]

    def must_be_there(self, begun: float = inf) -> bool:
        """Whether somebody who looks from this moment on has to see the line."""
        return any(write.ended is not None and write.ended <= begun for write in self.writes)


def possible(writes: Iterable[Write], *, begun: float = inf, ended: float = inf) -> set[str]:
    """What somebody may see who looked at a cell between `begun` and `ended`; by default, when all is quiet.

    A write counts until another one, begun after it had ended, was acknowledged before the look began. One of which
    nobody knows whether it was made counts from its begin on.
    """
    known = list(writes)
    last = max((write.begun for write in known if write.ended is not None and write.ended <= begun), default=-inf)
    return {write.status for write in known if write.begun <= ended and (write.ended is None or write.ended >= last)}


class Ledger:
    """The ledger of one run; may be used from several threads.

    Args:
        run: in the names of its lines.
        file: where to write it down as well.
    """

    def __init__(self, run: str, file: Path | None = None) -> None:
        self.run = run
        self.file = file
        self._lock = threading.RLock()
        self._lines: dict[str, Line] = {}
        self._by_key: dict[BoardKey, list[Line]] = {}
        self._written: dict[int, Write] = {}
        self._count = 0
        self._stream: IO[str] | None = None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._stream = file.open("a", encoding="utf-8", buffering=1)
            self._note({"run": run})

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    @property
    def prefix(self) -> str:
        """What the names of this run's lines begin with, and no others."""
        return f"{PREFIX} {self.run} "

    def append(self, key: BoardKey) -> Write:
        """A line is about to be added to this board, under a new name."""
        with self._lock:
            write = self._new(f"{self.prefix}{self._count}", None, BLANK)
            self._add_line(Line(key, write))
            self._note({"write": write.number, "key": encode_key(key), "name": write.name, "begun": write.begun})
            return write

    def mark(self, name: str, day: int, status: str) -> Write:
        """A cell of one of the lines is about to be set."""
        with self._lock:
            write = self._new(name, day, status)
            self._lines[name].marks.append(write)
            said = {"write": write.number, "name": name, "day": day, "status": status, "begun": write.begun}
            self._note(said)
            return write

    def acknowledge(self, write: Write) -> None:
        """It was answered that this is done."""
        with self._lock:
            write.ended = time.monotonic()
            self._note({"acknowledged": write.number, "at": write.ended})

    def refuse(self, write: Write) -> None:
        """It was answered that this is not done, nor ever will be."""
        with self._lock:
            self._forget(write)
            self._note({"refused": write.number})

    def on_board(self, key: BoardKey) -> list[Line]:
        """The lines of this board, in the order in which they were added."""
        with self._lock:
            return list(self._by_key.get(key, ()))

    def stale(self, key: BoardKey, seen: Collection[tuple[str, tuple[str, ...]]], begun: float, ended: float) -> bool:
        """Whether somebody who saw these lines (name, seven marks) of the board missed what had been acknowledged."""
        by_name: dict[str, list[tuple[str, ...]]] = {}
        for name, times in seen:
            by_name.setdefault(name, []).append(times)
        with self._lock:
            return any(_stale(line, by_name.get(line.added.name, []), begun, ended) for line in self.on_board(key))

    def lines(self) -> list[Line]:
        with self._lock:
            return list(self._lines.values())

    def _new(self, name: str, day: int | None, status: str) -> Write:
        write = Write(self._count, name, day, status, time.monotonic())
        self._written[write.number] = write
        self._count += 1
        return write

    def _add_line(self, line: Line) -> None:
        self._lines[line.added.name] = line
        self._by_key.setdefault(line.key, []).append(line)

    def _forget(self, write: Write) -> None:
        line = self._lines[write.name]
        if write.day is not None:
            line.marks.remove(write)
        else:
            del self._lines[write.name]
            self._by_key[line.key].remove(line)

    def _note(self, said: dict[str, Any]) -> None:
        if self._stream is not None:
            self._stream.write(json.dumps(said, ensure_ascii=False) + "\n")

    def _replay(self, said: dict[str, Any]) -> None:
        match said:
            case {"acknowledged": int(number), "at": float(at)}:
                self._written[number].ended = at
            case {"refused": int(number)}:
                self._forget(self._written[number])
            case {"write": int(number), "name": str(name), "begun": float(begun)}:
                write = Write(number, name, said.get("day"), said.get("status", BLANK), begun)
                self._written[number] = write
                self._count = number + 1
                if write.day is None:
                    self._add_line(Line(decode_key(said["key"]), write))
                else:
                    self._lines[name].marks.append(write)
            case _:
                raise KeyError("its kind")


def read(file: Path) -> Ledger:
    """The ledger that a run has left behind, be it killed or not. A last line that was cut off never was.

    Raises:
        UnusableInput: it cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(f"The ledger {file} cannot be read: {error}.") from error
    *lines, _ = text.split("\n")
    ledger: Ledger | None = None
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            if ledger is None:
                ledger = Ledger(str(said["run"]))
            else:
                ledger._replay(said)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnusableInput(f"{file} is no ledger of this command: line {number} lacks {error}.") from error
    if ledger is None:
        raise UnusableInput(f"{file} is no ledger of this command: it is empty.")
    return ledger


def _stale(line: Line, found: list[tuple[str, ...]], begun: float, ended: float) -> bool:
    if not found:
        return line.must_be_there(begun)
    return len(found) > 1 or any(
        found[0][day] not in possible(line.cell(day), begun=begun, ended=ended) for day in range(DAYS)
    )
