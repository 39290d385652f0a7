"""Why a message did not arrive."""

from __future__ import annotations


class Undelivered(Exception):
    """It did not arrive, or nobody knows whether it did.

    Its sentence is kept and shown, so it is one of ours: it holds no address, no secret and nothing of what others say.
    """
