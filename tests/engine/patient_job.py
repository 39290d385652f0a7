"""A job of the queue that pays no attention to signals."""

from __future__ import annotations

import time
from pathlib import Path


def wait(begun: str, may_end: str, ended: str) -> None:
    """Say that it has begun, wait until it may end, and say that it has ended: each is a file."""
    Path(begun).touch()
    while not Path(may_end).exists():
        time.sleep(0.02)
    Path(ended).touch()


def tidy() -> None:
    """Nothing, quickly."""
