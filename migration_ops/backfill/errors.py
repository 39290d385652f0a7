"""What a database error means for a batch, and what to do about it: data and a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError

from migration_ops.patience import sqlstate


class Kind(StrEnum):
    """What went wrong, by what helps."""

    CONFLICT = "conflict"
    """Somebody else was in the way for a moment: the same again works."""

    BLOCKED = "blocked"
    """Waited too long for a lock or a statement: less at a time, later."""

    DISCONNECTED = "disconnected"
    """The connection or the server is gone: connect anew and look at what was committed."""

    EXHAUSTED = "exhausted"
    """The server has no room, memory or connections: a person must act."""

    ROW = "row"
    """The database refuses what is in a row."""

    DEFECT = "defect"
    """Table, column or permission is not as this program needs it. No row is to blame."""


KINDS: dict[str, Kind] = {
    "40001": Kind.CONFLICT,
    "40003": Kind.CONFLICT,
    "40P01": Kind.CONFLICT,
    "55P03": Kind.BLOCKED,
    "57014": Kind.BLOCKED,
    "08": Kind.DISCONNECTED,
    "57P": Kind.DISCONNECTED,
    "25P03": Kind.DISCONNECTED,
    "25P04": Kind.DISCONNECTED,
    "53": Kind.EXHAUSTED,
    "58": Kind.EXHAUSTED,
    "0A": Kind.DEFECT,
    "25": Kind.DEFECT,
    "26": Kind.DEFECT,
    "28": Kind.DEFECT,
    "3D": Kind.DEFECT,
    "3F": Kind.DEFECT,
    "42": Kind.DEFECT,
    "55": Kind.DEFECT,
    "F0": Kind.DEFECT,
    "XX": Kind.DEFECT,
}
"""Kind by SQLSTATE or its beginning, the longest match first; every other SQLSTATE is `ROW`.
https://www.postgresql.org/docs/current/errcodes-appendix.html"""

LOCK_RETRIES = 12
"""Attempts at a batch that is blocked, or at one row that is in conflict: half a minute or so, for a writer who holds a
row for some seconds or is met in a knot again and again."""


REFUSALS = 32
"""Refusals or conflicts in a row; a search by halves needs ten, and every batch that passes begins the count anew."""


class Action(StrEnum):
    RETRY = "retry"
    SHRINK = "shrink"
    RECONNECT = "reconnect"
    BISECT = "bisect"
    SET_ASIDE = "set_aside"
    PAUSE = "pause"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about an error, and how many seconds to wait before."""

    action: Action
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Seconds to wait before an attempt, doubling from `first` to at most `longest`."""

    first: float
    longest: float

    def delay(self, attempt: int, jitter: float) -> float:
        """`attempt` counts from 1; `jitter` in [0, 1) takes up to half of the delay away, so that workers disperse."""
        full = min(self.longest, self.first * 2.0 ** min(attempt - 1, 60))
        return full * (1 - jitter / 2)


def kind(error: Error) -> Kind:
    """What went wrong. Without SQLSTATE the class of the exception decides: the driver refused a value, or the
    connection broke."""
    state = sqlstate(error)
    if state:
        matches = (KINDS[state[:length]] for length in (5, 3, 2) if state[:length] in KINDS)
        return next(matches, Kind.ROW)
    if isinstance(error, DataError | IntegrityError):
        return Kind.ROW
    if isinstance(error, OperationalError | InterfaceError):
        return Kind.DISCONNECTED
    return Kind.DEFECT


def decide(
    problem: Kind, *, attempt: int, alone: int, rows: int, suspects: int, retries: int, backoff: Backoff, jitter: float
) -> Decision:
    """What to do after the `attempt`-th failure in a row (from 1) of a batch of up to `rows` rows.

    Args:
        alone: how many of these failures in a row, up to the latest, were a batch of one row.
        suspects: rows among which the cause is known to be; 0 while nothing is known.
    """
    delay = backoff.delay(attempt, jitter)
    if problem is Kind.ROW and attempt <= REFUSALS:
        return Decision(Action.BISECT if rows > 1 else Action.SET_ASIDE)
    if problem is Kind.EXHAUSTED:
        return Decision(Action.PAUSE)
    if problem is Kind.CONFLICT and attempt <= REFUSALS:
        if rows > 1:
            return Decision(Action.SHRINK, delay) if attempt <= retries and not suspects else Decision(Action.BISECT)
        if alone <= LOCK_RETRIES:
            return Decision(Action.RETRY, backoff.delay(max(1, alone), jitter))
        return Decision(Action.SET_ASIDE)
    if problem is Kind.BLOCKED:
        if attempt > LOCK_RETRIES:
            return Decision(Action.PAUSE)
        return Decision(Action.SHRINK if rows > 1 else Action.RETRY, delay)
    if problem is Kind.DISCONNECTED and attempt <= retries:
        return Decision(Action.RECONNECT, delay)
    return Decision(Action.FAIL)


def sentence(error: Error) -> str:
    """The first line of what the database said, with the SQLSTATE."""
    state = sqlstate(error)
    first_line = str(error).strip().split("\n", 1)[0] or type(error).__name__
    return f"{first_line} ({state})" if state else first_line
