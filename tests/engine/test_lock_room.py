"""Keys are advisory locks, and the server's lock table is finite."""

from __future__ import annotations

import pytest

from migration_ops.backfill.lock_room import keys_a_batch
from migration_ops.backfill.worker import batch_size
from tests.engine.syncing import rows


@pytest.mark.django_db
def test_all_workers_together_leave_half_of_the_lock_table_to_others() -> None:
    ((places,),) = rows(
        "SELECT current_setting('max_locks_per_transaction')::int * (current_setting('max_connections')::int"
        " + current_setting('max_prepared_transactions')::int)"
    )
    for workers in (1, 4, 32):
        assert keys_a_batch(workers) * workers <= places / 2
        assert (keys_a_batch(workers) + 1) * workers > places / 2


def test_no_batch_is_larger_than_its_share_whoever_asks() -> None:
    assert batch_size(5_000, 120).maximum == 120
    assert batch_size(None, 120).maximum == 120
