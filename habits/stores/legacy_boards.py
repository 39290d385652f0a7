"""Legacy rows that share a key become one board; the rows of a board with a rejected row are held.

Pure. The declared policy: the row with the highest id leads; the others, from the next highest down, fill what is blank
so far; what they say differently is listed. The result does not depend on the order in which the rows come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from habits.board import BLANK, Board, BoardKey, Habit, Reflection
from habits.stores.legacy_rows import ANSWERS, ParsedRow, raw_text
from migration_ops.definition import Batch, Conflict, Cursor, Merge, Page, Rejection, RowLink

_REFLECTION_FIELDS = ("best_day", "easiest_habit", "next_week_goal")


@dataclass(slots=True)
class AssembledBoard:
    """A board and what it is made of.

    Attributes:
        board: what all its rows say together.
        rows: its rows, the leading one first.
        entries: the element of some row's `habits` behind each of the board's habits.
        conflicts: what lower rows say differently.
    """

    board: Board
    rows: tuple[ParsedRow, ...]
    entries: list[dict[str, Any]]
    conflicts: tuple[Conflict, ...] = ()


@dataclass(slots=True)
class Assembly:
    """The boards of some rows, by the id of their leading row, and the rows that are part of none."""

    boards: list[AssembledBoard] = field(default_factory=list)
    rejections: list[Rejection[BoardKey]] = field(default_factory=list)

    def batch(self) -> Batch[BoardKey, Board]:
        """Everything, for a store that was asked for keys."""
        batch: Batch[BoardKey, Board] = Batch(rejections=self.rejections)
        for assembled in self.boards:
            _add(batch, assembled)
            batch.links += [RowLink(row.row, row.key, row.fingerprint) for row in assembled.rows]
        return batch

    def page(self, rows: Collection[str], cursor: Cursor | None) -> Page[BoardKey, Board]:
        """What belongs on a page of these rows, though more were read to make its documents whole."""
        page: Page[BoardKey, Board] = Page(cursor=cursor, rows=len(rows))
        for assembled in self.boards:
            for number, row in enumerate(assembled.rows):
                if row.row not in rows:
                    continue
                page.links.append(RowLink(row.row, row.key, row.fingerprint))
                if number:
                    page.merged_rows += 1
                else:
                    _add(page, assembled)
        page.rejections = [rejection for rejection in self.rejections if rejection.row in rows]
        return page


def _add(batch: Batch[BoardKey, Board], assembled: AssembledBoard) -> None:
    batch.documents.append(assembled.board)
    if len(assembled.rows) > 1:
        rows = tuple(row.row for row in assembled.rows)
        batch.merges.append(Merge(assembled.board.key, rows, assembled.conflicts))


Accepted = Callable[[Collection[str]], Mapping[str, str]]
"""Fingerprints of those of the given rows that a person decided to leave behind."""

LeftBehind = Callable[[Collection[Rejection[BoardKey]]], Mapping[str, str]]
"""Fingerprints of those of the given rejected rows that do not hold their boards."""


def left_by_decision(accepted: Accepted) -> LeftBehind:
    """Rejected rows hold their boards but for those that a person accepted."""
    return lambda rejected: accepted([rejection.row for rejection in rejected])


def left_always(rejected: Collection[Rejection[BoardKey]]) -> Mapping[str, str]:
    """No rejected row holds its board: what is left of the board counts."""
    return {rejection.row: rejection.fingerprint for rejection in rejected}


def assemble(
    outcomes: Iterable[ParsedRow | Rejection[BoardKey]], accepted: Mapping[str, str] | None = None
) -> Assembly:
    """One board a key.

    Args:
        outcomes: what `legacy_verdict.parse` made of each row; every row of every key, each once.
        accepted: fingerprints of the rejected rows that a person decided to leave behind. As long as such a row is
            still the same, it does not hold its board.
    """
    accepted = accepted or {}
    assembly = Assembly()
    by_key: dict[BoardKey, list[ParsedRow]] = {}
    culprits: dict[BoardKey, Rejection[BoardKey]] = {}
    for outcome in outcomes:
        if isinstance(outcome, ParsedRow):
            by_key.setdefault(outcome.board.key, []).append(outcome)
            continue
        if accepted.get(outcome.row) == outcome.fingerprint:
            outcome = replace(outcome, accepted=True)
        elif outcome.key is not None:
            known = culprits.get(outcome.key)
            if known is None or _row_order(outcome) < _row_order(known):
                culprits[outcome.key] = outcome
        assembly.rejections.append(outcome)
    for key, rows in by_key.items():
        culprit = culprits.get(key)
        if culprit is not None:
            assembly.rejections += [_held(row, culprit) for row in rows]
        elif len(rows) == 1:
            assembly.boards.append(AssembledBoard(rows[0].board, (rows[0],), rows[0].entries))
        else:
            assembly.boards.append(_merge(sorted(rows, key=lambda row: row.id, reverse=True)))
    assembly.boards.sort(key=lambda assembled: assembled.rows[0].id)
    assembly.rejections.sort(key=_row_order)
    return assembly


def _row_order(rejection: Rejection[BoardKey]) -> tuple[bool, int, str]:
    """Rows without id first, the others by their ids."""
    named_by_id = rejection.row.removeprefix("-").isdecimal()
    return named_by_id, int(rejection.row) if named_by_id else 0, rejection.row


def _held(row: ParsedRow, culprit: Rejection[BoardKey]) -> Rejection[BoardKey]:
    message = f"Held because row {culprit.row} of the same board is in quarantine ({culprit.code})."
    return Rejection(row.row, culprit.code, message, row.key, raw_text(row.record), row.fingerprint, culprit.row)


def _merge(rows: list[ParsedRow]) -> AssembledBoard:
    """One board of several rows, the highest id first."""
    leader = rows[0]
    conflicts: list[Conflict] = []
    habits = list(leader.board.habits)
    entries = list(leader.entries)
    theme, reward = leader.board.theme, leader.board.reward
    answers = _answers(leader.board)
    for row in rows[1:]:
        theme = _text("theme", theme, row.board.theme, row, conflicts)
        reward = _text("reward", reward, row.board.reward, row, conflicts)
        answers = [
            _text(f"reflection.{name}", kept, other, row, conflicts)
            for name, kept, other in zip(ANSWERS, answers, _answers(row.board), strict=True)
        ]
        places = {occurrence: position for position, occurrence in enumerate(_occurrences(habits))}
        lower = row.board.habits
        for habit, entry, occurrence in zip(lower, row.entries, _occurrences(lower), strict=True):
            position = places.get(occurrence)
            if position is None:
                habits.append(habit)
                entries.append(entry)
            else:
                habits[position] = _fill(habits[position], habit, position, row, conflicts)
    board = replace(leader.board, theme=theme, reward=reward, reflection=Reflection(*answers), habits=tuple(habits))
    return AssembledBoard(board, tuple(rows), entries, tuple(conflicts))


def _occurrences(habits: Iterable[Habit]) -> list[tuple[str, int]]:
    """Each habit's name without outer white space, and how often it stood before."""
    seen: dict[str, int] = {}
    occurrences = []
    for habit in habits:
        name = habit.name.strip()
        occurrences.append((name, seen.get(name, 0)))
        seen[name] = seen.get(name, 0) + 1
    return occurrences


def _fill(kept: Habit, lower: Habit, position: int, row: ParsedRow, conflicts: list[Conflict]) -> Habit:
    times = list(kept.times)
    for day, (mark, other) in enumerate(zip(kept.times, lower.times, strict=True)):
        if mark == BLANK:
            times[day] = other
        elif other not in (BLANK, mark):
            conflicts.append(Conflict(f"habits[{position}].times[{day}]", str(mark), str(other), row.row))
    return replace(kept, times=tuple(times))


def _text(path: str, kept: str, lower: str, row: ParsedRow, conflicts: list[Conflict]) -> str:
    if kept and lower and kept != lower:
        conflicts.append(Conflict(path, kept, lower, row.row))
    return kept or lower


def _answers(board: Board) -> list[str]:
    return [getattr(board.reflection, name) for name in _REFLECTION_FIELDS]
