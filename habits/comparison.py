"""What two boards of one key differ in, and how many marks they share. Pure; equal boards cost one comparison, and
another one for the legacy ids of their habits."""

from __future__ import annotations

from typing import Any

from habits.board import BLANK, COLOURS, DAYS, Board, Habit
from habits.stores import legacy_ids
from habits.stores.legacy_ids import legacy_id_kept
from migration_ops.definition import FieldDifference


def differences(legacy: Board, modern: Board) -> list[FieldDifference]:
    """Every field in which they differ, in the order of a board; empty exactly when they are equal and modern has kept
    what the way back needs.

    Paths read `theme`, `reflection.bestDay`, `habits.length`, `habits[2].name`, `habits[2].times[0]`, `anomalies`.
    A habit that only one side has is one difference, `habits[2]`, with the whole habit as the value.
    `habits[2].legacy_id` is one where legacy has an id there that modern could keep, and modern says another or none.
    """
    if legacy == modern and legacy_ids.kept(legacy, modern):
        return []
    before, after = image(legacy), image(modern)
    found: list[FieldDifference] = []

    def compare(path: str, one: Any, other: Any) -> None:
        if one != other:
            found.append(FieldDifference(path, one, other))

    for name in ("owner", "child", "week_start", "theme", "reward"):
        compare(name, before[name], after[name])
    for name in before["reflection"]:
        compare(f"reflection.{name}", before["reflection"][name], after["reflection"][name])
    compare("habits.length", len(legacy.habits), len(modern.habits))
    for position in range(max(len(legacy.habits), len(modern.habits))):
        path = f"habits[{position}]"
        if position >= len(legacy.habits):
            compare(path, None, _said(modern.habits[position]))
        elif position >= len(modern.habits):
            compare(path, _said(legacy.habits[position]), None)
        else:
            one, other = legacy.habits[position], modern.habits[position]
            compare(f"{path}.name", one.name, other.name)
            compare(f"{path}.time_period", one.time_period, other.time_period)
            for day in range(DAYS):
                compare(f"{path}.times[{day}]", one.times[day], other.times[day])
            if legacy_id_kept(one.legacy_id) is not None:
                compare(f"{path}.legacy_id", one.legacy_id, other.legacy_id)
    compare("anomalies", list(legacy.anomalies), list(modern.anomalies))
    return found


def marks(board: Board) -> int:
    """How many cells of the board have a colour."""
    return sum(DAYS - habit.times.count(BLANK) - habit.times.count(None) for habit in board.habits)


def equal_marks(one: Board, other: Board) -> int:
    """How many coloured cells have the same colour, on the same day of the habit in the same place, in both."""
    if one.habits == other.habits:
        return marks(one)
    return sum(
        before == after and before in COLOURS
        for habit, counterpart in zip(one.habits, other.habits, strict=False)
        for before, after in zip(habit.times, counterpart.times, strict=True)
    )


def image(board: Board) -> dict[str, Any]:
    """All that is known of a board, as JSON, for reports and before-images."""
    return {
        "owner": str(board.key.owner),
        "child": board.key.child,
        "week_start": board.key.week_start.isoformat(),
        "week_end": board.week_end.isoformat(),
        "theme": board.theme,
        "reward": board.reward,
        "reflection": {
            "bestDay": board.reflection.best_day,
            "easiestHabit": board.reflection.easiest_habit,
            "nextWeekGoal": board.reflection.next_week_goal,
        },
        "habits": [
            {"position": position, **_said(habit), "legacy_id": habit.legacy_id}
            for position, habit in enumerate(board.habits)
        ],
        "anomalies": list(board.anomalies),
    }


def _said(habit: Habit) -> dict[str, Any]:
    return {"name": habit.name, "time_period": habit.time_period, "times": list(habit.times)}
