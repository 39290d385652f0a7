"""What tests wait for is seen whenever it comes."""

from __future__ import annotations

from django.db import connection, transaction

from tests.engine.syncing import rows
from tests.engine.waiting import InThread, until_somebody_waits

LOCK = "SELECT pg_advisory_xact_lock(20250721)"


def test_somebody_who_connects_after_the_first_look_is_seen_in_the_same_transaction(transactional_db: None) -> None:
    with transaction.atomic():
        rows("SELECT count(*) FROM pg_stat_activity")
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
        other = InThread(lambda: rows(LOCK))
        until_somebody_waits()
    other.outcome()
