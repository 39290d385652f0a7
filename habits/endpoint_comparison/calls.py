"""Every call that reads, as one family can make it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from habits.board import BoardKey

CHILDREN = "/api/children"
WEEKS = "/api/children/{name}/weeks"
WEEK = "/api/children/{name}/weeks/{day}"
STATS = "/api/children/{name}/stats"

ALL_WEEKS = 520
"""As many as the API counts at a time; without a number it counts the last dozen."""

ALL_STATS = f"{STATS}?weeks={ALL_WEEKS}"

ENDPOINTS = (CHILDREN, WEEKS, WEEK, STATS, ALL_STATS)
"""What both stores can answer, as the OpenAPI document writes it."""

MODERN_ONLY = ("/api/templates", "/api/templates/{template}", "/api/notifications")
"""What exists in the modern schema alone, so that there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Call:
    """A GET of the API.

    Attributes:
        endpoint: one of `ENDPOINTS`.
        owner: who asks.
        path: as a server hands it on, decoded.
        child, week: what is asked for; None for all of them.
    """

    endpoint: str
    owner: UUID
    path: str
    query: str = ""
    child: str | None = None
    week: date | None = None

    def tells_of(self, key: BoardKey) -> bool:
        """Whether the answer depends on the board of this key."""
        return key.owner == self.owner and self.child in (None, key.child) and self.week in (None, key.week_start)


def calls_of(owner: UUID, keys: Collection[BoardKey]) -> Iterator[Call]:
    """Every call that this family can make about these boards of its own."""
    yield Call(CHILDREN, owner, CHILDREN)
    for child in sorted({key.child for key in keys}):
        path = f"{CHILDREN}/{child}"
        yield Call(WEEKS, owner, f"{path}/weeks", child=child)
        yield Call(STATS, owner, f"{path}/stats", child=child)
        yield Call(ALL_STATS, owner, f"{path}/stats", f"weeks={ALL_WEEKS}", child=child)
    for _, child, monday in sorted(keys):
        yield Call(WEEK, owner, f"{CHILDREN}/{child}/weeks/{monday.isoformat()}", child=child, week=monday)
