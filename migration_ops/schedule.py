"""What is to be done again and again: declared by whoever knows of it, read by the scheduler.

    schedule.declare(Periodically(name="tidy", every=timedelta(hours=1), job="shop.jobs.tidy"))

An app declares its own in `ready()`, so that the engine need not know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodically:
    """A job of the workers that is due every so often.

    It must be one that may be lost or run twice: what the queue loses is done when it is due the next time.

    Attributes:
        name: unique among all.
        every: how often; a callable where a setting says so.
        job: path of a function without arguments, which a worker calls.
    """

    name: str
    every: timedelta | Callable[[], timedelta]
    job: str

    @property
    def interval(self) -> timedelta:
        return self.every if isinstance(self.every, timedelta) else self.every()


_declared: dict[str, Periodically] = {}


def declare(periodically: Periodically) -> None:
    """Make it known.

    Raises:
        ValueError: another one has this name.
    """
    known = _declared.get(periodically.name)
    if known is not None and known != periodically:
        raise ValueError(f"Two things that are done periodically are named {periodically.name!r}.")
    _declared[periodically.name] = periodically


def withdraw(name: str) -> None:
    """Forget it, e.g. one that a test declared."""
    _declared.pop(name, None)


def declared() -> list[Periodically]:
    """All of them, by name."""
    return [_declared[name] for name in sorted(_declared)]
