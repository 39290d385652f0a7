"""Labelled places where a test may kill this process, so that crash recovery is proven and not assumed.

Does nothing unless the environment variable `MIGRATION_OPS_FAILPOINT` names the label, as `label` or `label:n` for the
n-th time it is passed (from 1).
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_armed = os.environ.get("MIGRATION_OPS_FAILPOINT", "")
_passed: Counter[str] = Counter()

LABELS: set[str] = set()
"""Every label in the code, for tests that try them all."""


def label(name: str) -> str:
    """Declare a failpoint at import, so that tests find it without running the code."""
    LABELS.add(name)
    return name


def failpoint(name: str) -> None:
    """Kill this process with SIGKILL if this failpoint is armed; otherwise do nothing."""
    if not _armed:
        return
    wanted, _, count = _armed.partition(":")
    if wanted != name:
        return
    _passed[name] += 1
    if _passed[name] >= int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
