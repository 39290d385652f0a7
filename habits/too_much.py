"""What becomes of content that is larger than anybody takes."""

from __future__ import annotations

from itertools import repeat
from typing import Any

THROWN_AWAY = 16 * 1024 * 1024
"""Bytes at most."""

_AT_A_TIME = 64 * 1024


def throw_away(stream: Any) -> None:
    """Read on, for a client that is still sending does not see the answer, only a broken connection.

    Beyond `THROWN_AWAY` bytes the client has to live with that.
    """
    for _ in repeat(None, THROWN_AWAY // _AT_A_TIME):
        if not stream.read(_AT_A_TIME):
            return
