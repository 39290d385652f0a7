"""Which habit of a board is which of its next version, so that what belongs to one stays with it.

Pure. Neither store can tell for certain: names repeat and change, legacy ids are not stable, habits move.
"""

from __future__ import annotations

from collections.abc import Sequence

from habits.board import Habit


def matched(old: Sequence[Habit], new: Sequence[Habit]) -> list[int | None]:
    """For each habit of `new` the position it had in `old`, each position once; None for one that is new.

    Recognised by position and name, then by name, then by legacy id, and what is left on both sides by position, which
    is a habit renamed in its place.
    """
    free = set(range(len(old)))
    sources: list[int | None] = [None] * len(new)

    def take(position: int, source: int | None) -> None:
        if sources[position] is None and source in free:
            free.remove(source)
            sources[position] = source

    for position, habit in enumerate(new):
        if position in free and old[position].name == habit.name:
            take(position, position)
    by_name: dict[str, list[int]] = {}
    for source in sorted(free, reverse=True):
        by_name.setdefault(old[source].name, []).append(source)
    for position, habit in enumerate(new):
        if sources[position] is None and by_name.get(habit.name):
            take(position, by_name[habit.name].pop())
    by_id = {old[source].legacy_id: source for source in sorted(free, reverse=True)}
    for position, habit in enumerate(new):
        if habit.legacy_id is not None:
            take(position, by_id.get(habit.legacy_id))
    for position in range(len(new)):
        take(position, position)
    return sources
