"""A job of the queue that pays no attention to signals."""

from __future__ import annotations

from pathlib import Path

from tests.engine.background import PATIENCE
from tests.engine.waiting import eventually


def wait(begun: str, may_end: str, ended: str) -> None:
    """Say that it has begun, wait until it may end, and say that it has ended: each is a file."""
    Path(begun).touch()
    eventually(Path(may_end).exists, seconds=PATIENCE)
    Path(ended).touch()


def tidy() -> None:
    """Nothing, quickly."""
