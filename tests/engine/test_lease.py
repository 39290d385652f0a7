"""One process at a time on a range, and nobody who lost it commits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from migration_ops.backfill import lease as leases
from migration_ops.backfill.lease import Lease
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import LeaseHeld, LeaseLost
from migration_ops.models import Run, RunRange
from tests.engine.backfilling import fill, make_run
from tests.engine.syncing import run
from tests.engine.waiting import eventually

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=1)


@pytest.fixture
def idle(notes: AnyMigration) -> Run:
    """A run with range 0 for the whole and range 1 with work, held by nobody."""
    fill(3)
    return make_run(notes)


def elsewhere(call: Callable[[], Any], *, stay: threading.Event | None = None) -> tuple[threading.Thread, list[Any]]:
    """Do this with a connection of its own, which stays open until `stay` is set; what came of it."""
    answers: list[Any] = []

    def work() -> None:
        try:
            answers.append(call())
            if stay is not None:
                stay.wait(30)
        except (LeaseHeld, LeaseLost) as error:
            answers.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    eventually(lambda: answers)
    return thread, answers


def expire(lease: Lease) -> None:
    run(
        "UPDATE migration_ops_runrange SET lease_until = clock_timestamp() - interval '1 second' WHERE id = %s",
        lease.range_id,
    )


def test_a_range_is_held_by_one_and_the_other_is_told_who_and_until_when(idle: Run) -> None:
    leases.claim(idle.pk, 1, LONG)
    stay = threading.Event()
    stay.set()
    thread, (answer,) = elsewhere(lambda: leases.claim(idle.pk, 1, LONG), stay=stay)
    thread.join()
    assert isinstance(answer, LeaseHeld)
    assert leases.this_process() in str(answer)
    assert "until 2" in str(answer)


def test_a_range_is_free_at_once_when_the_holders_server_process_is_gone(idle: Run) -> None:
    thread, (held,) = elsewhere(lambda: leases.claim(idle.pk, 1, LONG))
    thread.join()
    mine = eventually(lambda: leases.claim_next(idle.pk, LONG))
    assert mine.token == held.token + 1
    assert mine.range_id == held.range_id


def test_a_reused_process_id_does_not_keep_a_lease_alive(idle: Run) -> None:
    mine = leases.claim(idle.pk, 1, LONG)
    run(
        "UPDATE migration_ops_runrange SET lease_backend_start = lease_backend_start - interval '1 hour' WHERE id = %s",
        mine.range_id,
    )
    assert leases.claim(idle.pk, 1, LONG).token == mine.token + 1


def test_a_living_holder_that_fell_silent_is_taken_over_after_its_lease_and_commits_nothing(idle: Run) -> None:
    sleeper = leases.claim(idle.pk, 1, LONG)
    with pytest.raises(LeaseHeld):
        leases.claim(idle.pk, 1, LONG)
    expire(sleeper)
    new = leases.claim(idle.pk, 1, LONG)
    with pytest.raises(LeaseLost), transaction.atomic():
        leases.update(sleeper, cursor=99)
    with pytest.raises(LeaseLost):
        leases.renew(sleeper)
    leases.release(sleeper)
    held = RunRange.objects.get(pk=new.range_id)
    assert (held.cursor, held.token) == (None, new.token)
    assert held.lease_until is not None


def test_every_update_renews_the_lease(idle: Run) -> None:
    mine = leases.claim(idle.pk, 1, LONG)
    expire(mine)
    leases.update(mine, cursor=5)
    held = RunRange.objects.get(pk=mine.range_id)
    assert held.cursor == 5
    with pytest.raises(LeaseHeld):
        leases.claim(idle.pk, 1, LONG)


def test_after_a_reconnect_the_lease_names_the_new_server_process(idle: Run) -> None:
    mine = leases.claim(idle.pk, 1, LONG)
    connection.close()
    leases.renew(mine)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    assert RunRange.objects.get(pk=mine.range_id).lease_backend == backend
    assert leases.claim_next(idle.pk, LONG) is None


def test_a_released_range_is_free(idle: Run) -> None:
    mine = leases.claim(idle.pk, 1, LONG)
    leases.release(mine)
    assert leases.holder(idle.pk) is None
    assert leases.claim(idle.pk, 1, LONG).token == mine.token + 1


def test_a_done_range_is_nobodys(idle: Run) -> None:
    idle.ranges.filter(number=1).update(done=True)
    assert leases.claim_next(idle.pk, LONG) is None


def test_the_lease_on_the_whole_run_is_not_handed_out_as_work(idle: Run) -> None:
    first = leases.claim_next(idle.pk, LONG)
    assert first is not None
    assert RunRange.objects.get(pk=first.range_id).number == 1
    assert leases.claim_next(idle.pk, LONG) is None


def test_of_many_who_ask_at_once_one_gets_the_range(idle: Run) -> None:
    gate, stay, won = threading.Barrier(6), threading.Event(), []

    def ask() -> None:
        gate.wait()
        lease = leases.claim_next(idle.pk, LONG)
        won.append(lease)
        stay.wait(30)
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(won) == 6)
    stay.set()
    for thread in threads:
        thread.join()
    assert len([lease for lease in won if lease is not None]) == 1
