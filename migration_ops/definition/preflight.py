"""What a look before the migration starts comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Outcome of a preflight check: `warn` lets a step go on, `fail` does not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class PreflightCheck:
    """One thing looked at before the migration starts: what was found, and what to do about it."""

    id: str
    status: Status
    message: str
    hint: str = ""
