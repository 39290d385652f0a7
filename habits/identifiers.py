"""Ids in the order they are made, so that a fresh row always lands at the right end of its index.

They are version 7 UUIDs (RFC 9562): 48 bits of milliseconds, 42 random bits, and a counter that takes the last 32.
Random ids spread every insert over the whole index and cost a backfill most of its speed.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator

STEM_LENGTH = 15
"""Bytes of a stem: an id without its last byte."""

_STEMS_IN_A_BLOCK = 1 << 24


def ordered_uuid() -> uuid.UUID:
    """One id for a row made on its own."""
    return uuid.UUID(bytes=_prefix() + secrets.token_bytes(4))


def stems() -> Iterator[bytes]:
    """Endless, ascending, unique beginnings of ids, 15 bytes each: up to 256 related rows differ in their last byte."""
    while True:
        prefix = _prefix()
        for number in range(_STEMS_IN_A_BLOCK):
            yield prefix + number.to_bytes(3, "big")


def _prefix() -> bytes:
    """The first 12 bytes of a version 7 UUID: the time, the version, the variant, and 42 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(42)
    version = 0x7000 | random >> 30
    variant = 0x80000000 | random & 0x3FFFFFFF
    return (milliseconds << 48 | version << 32 | variant).to_bytes(12, "big")
