"""Moments as people read them: all in one time zone, and the zone beside each of them."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone


def shown(at: datetime) -> str:
    """To the second, in the zone of the setting `TIME_ZONE`: `2025-07-21 09:00:00 KST`."""
    return f"{timezone.localtime(at, timezone.get_default_timezone()):%Y-%m-%d %H:%M:%S %Z}"
