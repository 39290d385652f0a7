"""Which habit of a board is which of its next version, so that what belongs to one stays with it.

Pure. Neither store can tell for certain: names repeat and change, legacy ids are not stable, habits move.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from habits.board import BLANK, Habit, Mark

Line = tuple[int, Habit]
"""A habit and its position."""

Trait = Callable[[Line], Hashable]
"""What two versions of a habit may have in common; None is nothing."""


def _known_id(line: Line) -> Hashable:
    """Its name and legacy id: whatever else changed, this is the same habit."""
    _, habit = line
    return None if habit.legacy_id is None else (habit.name, habit.legacy_id)


def _everything(line: Line) -> Hashable:
    _, habit = line
    return habit.name, _marks(habit), habit.legacy_id


def _name(line: Line) -> Hashable:
    return line[1].name


def _name_and_marks(line: Line) -> Hashable:
    _, habit = line
    return habit.name, _marks(habit)


def _marks(habit: Habit) -> tuple[Mark, ...]:
    return tuple(mark or BLANK for mark in habit.times)


def _legacy_id(line: Line) -> Hashable:
    return line[1].legacy_id


def _position(line: Line) -> Hashable:
    return line[0]


def _in_place(trait: Trait) -> Trait:
    """The same, at the same position."""

    def both(line: Line) -> Hashable:
        common = trait(line)
        return None if common is None else (line[0], common)

    return both


TRAITS: tuple[Trait, ...] = (
    *(_in_place(_everything), _everything),
    *(_in_place(_known_id), _known_id),
    *(_in_place(_name_and_marks), _name_and_marks),
    *(_in_place(_name), _name),
    *(_in_place(_legacy_id), _legacy_id),
    _position,
)
"""What habits are recognised by, the surest first. A habit that is as it was is itself; among others of one name the
legacy id tells them apart, then the marks, then the position; a habit with a new name is found by its legacy id, and
what is left on both sides at one position is a habit renamed in its place."""


def matched(old: Sequence[Habit], new: Sequence[Habit]) -> list[int | None]:
    """For each habit of `new` the position it had in `old`, each position once; None for one that is new."""
    sources: list[int | None] = [None] * len(new)
    free, open_ = dict(enumerate(old)), dict(enumerate(new))
    for trait in TRAITS:
        places = _places(free.items(), trait)
        for line in list(open_.items()):
            common = trait(line)
            if common is not None and places.get(common):
                sources[line[0]] = source = places[common].pop()
                del free[source], open_[line[0]]
        if not free or not open_:
            break
    return sources


def _places(lines: Iterable[Line], trait: Trait) -> dict[Hashable, list[int]]:
    """Positions by what they have in common, the first one last, to be taken from the end."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for line in lines:
        places[trait(line)].append(line[0])
    return {common: positions[::-1] for common, positions in places.items()}
