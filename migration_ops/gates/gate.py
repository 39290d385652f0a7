"""What a gate says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """`pass` opens the gate. `fail` is a clear no. `inconclusive` (too little is known) and `error` (it could not be
    evaluated) hold: they never promote and never roll back."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gate as it was found, with its evidence.

    Attributes:
        id: as in `stages.TRANSITIONS`.
        message: a sentence that says what was found, and what is missing; in English, and where it is a `Sentence`, a
            page can say it in another language.
        value: what was measured.
        n: how many were looked at.
        k: how many of them were bad.
        threshold: what `value` is held against.
        bound: the statistical bound of `value`, where it is an estimate.
        age: seconds since the evidence was collected.
        clear: it fails, and so clearly that reads go back by themselves.
        waived: who vouches for it although it does not pass, until when and why; empty for nobody.
    """

    id: str
    verdict: Verdict
    message: str
    value: Any = None
    n: int | None = None
    k: int | None = None
    threshold: Any = None
    bound: float | None = None
    age: float | None = None
    clear: bool = False
    waived: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASS

    @property
    def is_open(self) -> bool:
        return self.passed or bool(self.waived)

    def as_dict(self) -> dict[str, Any]:
        """The gate as JSON shows it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.id} ({self.verdict.value}): {self.message}"
