"""What can go wrong, each with the exit code of the command line. The docstring's first line is the default message."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from migration_ops.sentence import said


class ExitCode(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    UNUSABLE = 2
    QUARANTINED = 3
    REFUSED = 4
    DIFFERENT = 5
    INTERRUPTED = 130
    TERMINATED = 143


class MigrationOpsError(Exception):
    """The step failed and may be tried again."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").split("\n", 1)[0])


class UnusableInput(MigrationOpsError):
    """The input cannot be used; nothing was written."""

    exit_code = ExitCode.UNUSABLE


class ReasonMissing(UnusableInput):
    """Who vouches says why."""


class UnknownMigration(UnusableInput):
    """No migration of that name is registered."""


class Refused(MigrationOpsError):
    """The step was refused."""

    exit_code = ExitCode.REFUSED


class IllegalTransition(Refused):
    """There is no such step from the present stage."""


class GateClosed(Refused):
    """A gate of this step is not passed."""

    def __init__(self, message: str | None = None, gates: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.gates = tuple(gates)


class StageChanged(Refused):
    """Somebody else changed the stage in the meantime; look again and decide anew."""


class SelectionChanged(Refused):
    """Somebody decided on one of these rows in the meantime, or one changed; look again and decide anew."""


class RunChanged(Refused):
    """Somebody changed this run in the meantime; look again and decide anew."""


class FenceBusy(Refused):
    """Writers still hold the fence; the step was not made."""


class TableBusy(Refused):
    """A table is in use; the schema step was not made."""


class DocumentHeld(Refused):
    """A row of this document is in quarantine; nobody but a person may decide what becomes of it."""


class LeaseHeld(Refused):
    """Another process is working on this run."""


class LeaseLost(MigrationOpsError):
    """This process lost its lease; another one went on from the last commit."""


class DatabaseGone(MigrationOpsError):
    """The database did not come back in time; what was committed stays."""


class QueueAway(MigrationOpsError):
    """Redis does not answer, or takes nothing, so nobody could be woken."""


class RunPaused(MigrationOpsError):
    """The run was paused; `backfill resume` goes on."""


class StillLocked(MigrationOpsError):
    """Others hold what this step needs; it may be tried again when they are done."""


class Unreadable(MigrationOpsError):
    """A store could not be read whole, so nothing is proven."""


def first_line(error: Exception) -> str:
    """What an exception says, as far as its first line goes."""
    text = str(error)
    line = text.strip().split("\n", 1)[0]
    return text if line and line == text else line or said("no message")
