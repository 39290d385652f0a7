"""What the one who asks has to say about who shall answer, and what was decided for this request already.

A context variable: set by the middleware for the time of one request, empty in commands, workers and the applier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Visitor:
    """One request, as far as the rollout is concerned.

    Attributes:
        header: the value of a header; None where it was not sent.
        cookie: the value of a cookie that we signed for this user, or that staff sent; None where there is none.
        is_staff: whether the request comes from active staff, who alone may ask by header. Called only if it matters.
        decisions: what was decided in this request, by migration and unit.
    """

    header: Callable[[str], str | None]
    cookie: Callable[[str], str | None]
    is_staff: Callable[[], bool]
    decisions: dict[tuple[str, str], Any] = field(default_factory=dict)


_visitor: ContextVar[Visitor | None] = ContextVar("migration_ops.rollout.visitor", default=None)


def present() -> Visitor | None:
    """Who asks in this context; None outside of requests."""
    return _visitor.get()


@contextmanager
def asking(visitor: Visitor | None) -> Iterator[None]:
    """Within this block `visitor` is the one who asks; None for nobody."""
    token = _visitor.set(visitor)
    try:
        yield
    finally:
        _visitor.reset(token)
