"""What a comparison found, endpoint by endpoint; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from habits.board import BoardKey
from habits.endpoint_comparison.calls import ENDPOINTS, MODERN_ONLY, Call
from habits.endpoint_comparison.differing import Place
from migration_ops.definition import Side

BOUND = 1.1
"""What takes 95 % of the answers from modern may take at most so many times as long as from legacy."""

GOAL = 0.7
"""The plan's goal, at least 30 % faster, as the same ratio."""

SHOWN = 100
"""Differences and exceptions that are listed; all are counted."""


@dataclass(slots=True)
class Endpoint:
    """What came of the calls of one endpoint.

    Attributes:
        calls: pairs of answers; each is equal, different or excepted.
        excepted: pairs that need not be equal, because of boards that wait to be carried over or for a person.
        seconds: of each answer, of the pairs that are equal.
    """

    name: str
    equal: int = 0
    different: int = 0
    excepted: int = 0
    seconds: dict[Side, list[float]] = field(default_factory=lambda: {side: [] for side in Side})

    @property
    def calls(self) -> int:
        return self.equal + self.different + self.excepted

    def milliseconds(self, side: Side, percent: int) -> float | None:
        """What so many of a hundred answers stay within (nearest rank); None where there was none."""
        return percentile(self.seconds[side], percent)

    @property
    def ratio(self) -> float | None:
        """The p95 of modern by that of legacy; None where there is none."""
        legacy, modern = self.milliseconds(Side.LEGACY, 95), self.milliseconds(Side.MODERN, 95)
        return modern / legacy if legacy and modern else None

    def as_json(self) -> dict[str, Any]:
        ratio = self.ratio
        said: dict[str, Any] = {
            "endpoint": self.name,
            "calls": self.calls,
            "equal": self.equal,
            "different": self.different,
            "excepted": self.excepted,
        }
        for side in Side:
            for percent in (50, 95):
                found = self.milliseconds(side, percent)
                said[f"{side.value}_p{percent}_ms"] = None if found is None else round(found, 3)
        return said | {
            "ratio": None if ratio is None else round(ratio, 3),
            "bound_met": None if ratio is None else ratio <= BOUND,
            "goal_met": None if ratio is None else ratio <= GOAL,
        }


@dataclass(frozen=True, slots=True)
class Different:
    """A call whose answers differ although nothing excuses it, and the first places where."""

    call: Call
    places: tuple[Place, ...]

    def as_json(self) -> dict[str, Any]:
        week = self.call.week
        return {
            "endpoint": self.call.endpoint,
            "owner": str(self.call.owner),
            "child": self.call.child,
            "week_start": None if week is None else week.isoformat(),
            "places": [{"path": place.path, "legacy": place.legacy, "modern": place.modern} for place in self.places],
        }


@dataclass(slots=True)
class Report:
    """Everything, for all endpoints.

    Attributes:
        families: how many were asked for.
        differences: the first ones, each call once.
        exceptions: the boards that excuse a pair, and how many pairs each.
    """

    families: int = 0
    endpoints: dict[str, Endpoint] = field(default_factory=lambda: {name: Endpoint(name) for name in ENDPOINTS})
    differences: dict[Call, Different] = field(default_factory=dict)
    exceptions: Counter[BoardKey] = field(default_factory=Counter)

    def add_equal(self, call: Call, seconds: dict[Side, float]) -> None:
        endpoint = self.endpoints[call.endpoint]
        endpoint.equal += 1
        for side in Side:
            endpoint.seconds[side].append(seconds[side])

    def add_excepted(self, call: Call, because_of: Collection[BoardKey]) -> None:
        self.endpoints[call.endpoint].excepted += 1
        self.exceptions.update(because_of)

    def add_different(self, call: Call, places: Sequence[Place]) -> None:
        self.endpoints[call.endpoint].different += 1
        if len(self.differences) < SHOWN:
            self.differences.setdefault(call, Different(call, tuple(places)))

    @property
    def different(self) -> int:
        return sum(endpoint.different for endpoint in self.endpoints.values())

    def as_json(self) -> dict[str, Any]:
        endpoints = self.endpoints.values()
        return {
            "families": self.families,
            "calls": sum(endpoint.calls for endpoint in endpoints),
            "equal": sum(endpoint.equal for endpoint in endpoints),
            "different": self.different,
            "excepted": sum(endpoint.excepted for endpoint in endpoints),
            "endpoints": [endpoint.as_json() for endpoint in endpoints],
            "modern_only": list(MODERN_ONLY),
            "differences": [found.as_json() for found in self.differences.values()],
            "exceptions": [
                {
                    "owner": str(key.owner),
                    "child": key.child,
                    "week_start": key.week_start.isoformat(),
                    "calls": calls,
                }
                for key, calls in self.exceptions.most_common(SHOWN)
            ],
        }


def percentile(seconds: Sequence[float], percent: int) -> float | None:
    """In milliseconds, by nearest rank; None of nothing."""
    if not seconds:
        return None
    return sorted(seconds)[-(-len(seconds) * percent // 100) - 1] * 1000
