"""When which request comes, decided before the first one is sent; pure.

The arrivals do not wait for answers, as families do not wait for each other: a slow answer delays nobody else's
request, and what a request waited before it could be sent counts as part of its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import ClassVar

from habits.board import COLOURS, DAYS


class Kind(StrEnum):
    """What a request does."""

    BOARD = "board"
    """Looks at one week."""

    WEEKS = "weeks"
    """Looks at all weeks of a child."""

    CHILDREN = "children"
    """Looks who there is."""

    APPEND = "append"
    """Adds a line with a name that nothing else has."""

    MARK = "mark"
    """Sets a cell of a line that was added."""

    @property
    def writes(self) -> bool:
        return self in (Kind.APPEND, Kind.MARK)


_LOOKS = (Kind.BOARD, Kind.WEEKS, Kind.CHILDREN)
_LOOK_WEIGHTS = (8, 1, 1)
_STATUSES = (*sorted(COLOURS), "none")


@dataclass(frozen=True, slots=True)
class Profile:
    """What the traffic is like.

    Attributes:
        rate: requests a second.
        seconds: for how long they come.
        write_percent: share of the requests that change something.
        append_percent: share of the changes that add a line; the others set cells.
        seed: decides everything else; the same seed and families make the same requests.
    """

    rate: float
    seconds: float
    write_percent: float = 20
    append_percent: float = 30
    seed: int = 1

    MOST: ClassVar[int] = 500_000
    """Requests in one run: all that are writes are kept in memory."""

    @property
    def requests(self) -> int:
        return max(1, round(self.rate * self.seconds))


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request.

    Attributes:
        number: from 0.
        at: seconds after the begin.
        family, board: whose turn it is, and which of its boards.
        day, status: of the cell that a mark sets.
    """

    number: int
    at: float
    kind: Kind
    family: int
    board: int
    day: int
    status: str


def arrivals(profile: Profile, boards: Sequence[int]) -> Iterator[Arrival]:
    """All requests in the order in which they come.

    Args:
        boards: how many boards each family has, at least one.
    """
    random = Random(profile.seed)  # noqa: S311 - traffic, no secret
    for number in range(profile.requests):
        if random.random() * 100 < profile.write_percent:
            kind = Kind.APPEND if random.random() * 100 < profile.append_percent else Kind.MARK
        else:
            (kind,) = random.choices(_LOOKS, _LOOK_WEIGHTS)
        family = random.randrange(len(boards))
        yield Arrival(
            number,
            number / profile.rate,
            kind,
            family,
            random.randrange(boards[family]),
            random.randrange(DAYS),
            random.choice(_STATUSES),
        )
