"""How old what a gate rests on is."""

from __future__ import annotations

from datetime import datetime

from django.db import connection


def age_of(moment: datetime | None) -> float | None:
    """Seconds since then, by the database's clock; None for what never was."""
    if moment is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp() - %s)::float", [moment])
        return max(0.0, float(cursor.fetchone()[0]))
