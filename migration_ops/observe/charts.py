"""Geometry of small charts, in units of their own picture; pure. The template only draws."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 480.0
HEIGHT = 96.0

_BAR = 0.7
"""Of the room that a bar has."""


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float


def ceiling(values: Sequence[float]) -> float:
    """A round number that is at least as large as the largest of these, and what the top of the chart stands for."""
    most = max(values, default=0.0)
    if most < sys.float_info.min:  # below it a division ends at 0, from where no multiplication leads back up
        return 1.0
    magnitude = 1.0
    while magnitude > most:
        magnitude /= 10
    while magnitude * 10 <= most:
        magnitude *= 10
    return next(
        magnitude * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if magnitude * step >= most * (1 - 1e-9)
    )


def bars(values: Sequence[float], *, top: float, below: Sequence[float] = ()) -> tuple[Bar, ...]:
    """A bar for each value that is not zero; on top of the bars of `below`, where they are given."""
    room = WIDTH / max(1, len(values))
    lower = below or [0.0] * len(values)
    return tuple(
        Bar(
            x=round(number * room + room * (1 - _BAR) / 2, 2),
            y=round(HEIGHT - HEIGHT * (value + under) / top, 2),
            width=round(room * _BAR, 2),
            height=round(HEIGHT * value / top, 2),
        )
        for number, (value, under) in enumerate(zip(values, lower, strict=True))
        if value
    )


def line(values: Sequence[float | None], *, top: float) -> str:
    """The `d` of a path through the middle of each value's room; it is interrupted where there is none, and a value
    without neighbours is a dot."""
    room = WIDTH / max(1, len(values))
    path = []
    for number, value in enumerate(values):
        if value is None:
            continue
        x, y = round((number + 0.5) * room, 2), round(HEIGHT - HEIGHT * value / top, 2)
        drawn = number > 0 and values[number - 1] is not None
        path.append(f"{'L' if drawn else 'M'}{x} {y}")
        if not drawn and (number + 1 == len(values) or values[number + 1] is None):
            path.append("h0.01")
    return "".join(path)
