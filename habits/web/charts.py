"""Geometry of the charts, in units of their own picture; pure. The template only draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 100.0
"""Of a full column, and of a score of 100 %."""

STEP = 40.0
"""From one column to the next; a column is `WIDTH` of it."""

WIDTH = 26.0


@dataclass(frozen=True, slots=True)
class Colours:
    """How often each colour was given, for whatever the label says."""

    label: str
    green: int
    yellow: int
    red: int
    none: int

    @property
    def total(self) -> int:
        return self.green + self.yellow + self.red + self.none


@dataclass(frozen=True, slots=True)
class Piece:
    status: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One stacked column; its pieces stand on each other, green at the bottom, and blank is what is left open."""

    counts: Colours
    x: float
    middle: float
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Bars:
    columns: tuple[Column, ...]
    width: float


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float
    percent: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores in percent; weeks without a habit have none and are left out of the line."""

    points: tuple[Point, ...]
    line: str
    width: float
    average: int | None


def bars(found: Sequence[Colours]) -> Bars:
    """Columns as high as the largest sum there is; seven blank cells are no column of no height, but an open one."""
    most = max((counts.total for counts in found), default=0) or 1
    return Bars(tuple(_column(number, counts, most) for number, counts in enumerate(found)), STEP * len(found))


def _column(number: int, counts: Colours, most: int) -> Column:
    pieces, top = [], HEIGHT
    for status in ("green", "yellow", "red", "none"):
        height = HEIGHT * getattr(counts, status) / most
        top -= height
        if height:
            pieces.append(Piece(status, round(top, 2), round(height, 2)))
    x = STEP * number + (STEP - WIDTH) / 2
    return Column(counts, x, STEP * number + STEP / 2, tuple(pieces))


def curve(scores: Sequence[tuple[int, int]]) -> Curve:
    """From scores and the most there could be, in order."""
    points = tuple(
        Point(STEP * number + STEP / 2, round(HEIGHT * (1 - score / most), 2), round(100 * score / most))
        for number, (score, most) in enumerate(scores)
        if most
    )
    line = " ".join(f"{point.x:g},{point.y:g}" for point in points)
    green, possible = (sum(part) for part in zip(*scores, strict=True)) if scores else (0, 0)
    return Curve(points, line, STEP * len(scores), round(100 * green / possible) if possible else None)
