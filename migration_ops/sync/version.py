"""Which code decides, in this process, where a write goes and what is noted about it.

A digest of that code rather than a number that somebody raises: a number that is forgotten lets a process of an older
protocol pass for one of the newer, and nobody notices before data differs. A digest errs the other way; where only a
comment changed, the processes of the two releases are told apart for the seconds in which one replaces the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

PACKAGES = ("guards", "sync")
MODULES = ("fence.py", "locks.py", "stages.py", "state.py", "rollout/routing.py")
"""What, below `migration_ops`, a user's write runs through between its two stores, and what watches beside it."""

_LENGTH = 12


@lru_cache(maxsize=1)
def sync_version() -> str:
    """Twelve hexadecimal digits, the same in every process that runs this very code, on whatever machine."""
    return digest(files("migration_ops"))


def digest(root: Traversable) -> str:
    """The version of the code below this folder."""
    named = {f"{package}/{source.name}": source for package in PACKAGES for source in _sources(root / package)}
    named |= {module: root / module for module in MODULES}
    found = hashlib.sha256()
    for name, source in sorted(named.items(), key=lambda each: each[0]):
        found.update(name.encode() + b"\0" + source.read_bytes() + b"\0")
    return found.hexdigest()[:_LENGTH]


def _sources(package: Traversable) -> Iterable[Traversable]:
    return (source for source in package.iterdir() if source.name.endswith(".py"))
