"""Deterministic buckets: which share of the units is on the modern store; pure.

The bucket of a unit depends on the salt and the unit alone. So the share is exact for many units, a unit keeps its side
without a cookie, and raising the percentage never takes anybody back.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b

BUCKETS = 100_000
"""A thousandth of a percent each; a percentage has two decimals."""


def bucket(salt: str, unit: str) -> int:
    """The unit's bucket, from 0 to `BUCKETS` - 1, every one as likely as the others."""
    digest = blake2b(f"{salt}:{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def is_within(percent: Decimal, salt: str, unit: str) -> bool:
    """Whether the unit belongs to the first `percent` of all; 0 is nobody and 100 everybody."""
    return bucket(salt, unit) < percent * (BUCKETS // 100)
