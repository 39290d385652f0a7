"""What workers do for families in the background. Edges: parse, call one service, say what came of it.

The database is the truth, a job only a wake-up: any of them can be lost, or run twice, and the next one finishes.
"""

from __future__ import annotations

from collections import Counter
from datetime import date

from django.utils import timezone

from habits import idempotency, weekly_reports


def make_weekly_reports(day: str | None = None) -> dict[str, int]:
    """Tell every family how its week went; once a week, any time after Sunday.

    Args:
        day: a day of the week, as 2025-07-21; without it, the last week that is over.

    Returns:
        How many families, by outcome.
    """
    asked = None if day is None else date.fromisoformat(day)
    week = weekly_reports.week_to_report(asked, today=timezone.localdate())
    return dict(Counter(outcome.value for outcome in weekly_reports.make(week=week)))


def purge_idempotency() -> int:
    """Delete recorded answers of requests that are too old to be asked for again; how many."""
    return idempotency.purge(idempotency.PURGED_AT_A_TIME)
