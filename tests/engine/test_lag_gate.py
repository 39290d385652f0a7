"""The gate of the lag: who carries changes over must be alive, and no change may hide."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from migration_ops.definition import AnyMigration
from migration_ops.gates import Gate, Verdict
from migration_ops.models import DirtyKey, Heartbeat
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from tests.engine import korean
from tests.engine.planting import count
from tests.engine.syncing import begin_dual_write


@pytest.fixture
def synced(notes: AnyMigration) -> AnyMigration:
    """The applier was heard of a moment ago."""
    begin_dual_write(notes)
    heartbeat.beat(notes, Role.APPLIER)
    return notes


def found(migration: AnyMigration) -> Gate:
    return korean.found(migration, "sync_lag")


def wait(key: str, *, ago: timedelta, **fields: Any) -> None:
    DirtyKey.objects.create(migration="notes", side="legacy", key=key, created_at=Now() - ago, **fields)


def test_enough_changes_in_time_pass(synced: AnyMigration) -> None:
    count(synced, "change", "in_time", 59)
    gate = found(synced)
    assert (gate.verdict, gate.k, gate.n) == (Verdict.PASS, 0, 59)
    assert gate.message == (
        "0 of 59 changes past the app took longer than 100 ms in the last 24 h: with 95 % confidence fewer than 5 % do."
    )
    assert gate.age is not None
    assert gate.age < 60


def test_p95_above_the_limit_fails(synced: AnyMigration) -> None:
    count(synced, "change", "in_time", 900)
    count(synced, "change", "late", 25)
    assert found(synced).verdict is Verdict.PASS
    count(synced, "change", "late", 75, ago=timedelta(hours=2))
    gate = found(synced)
    assert (gate.verdict, gate.k, gate.n, gate.clear) == (Verdict.FAIL, 100, 1_000, True)
    assert "Is `manage.py sync_changes --follow` running?" in gate.message


def test_changes_of_the_day_before_prove_nothing(synced: AnyMigration) -> None:
    count(synced, "change", "late", 1_000, ago=timedelta(hours=25))
    assert found(synced).verdict is Verdict.INCONCLUSIVE


def test_where_nothing_changes_the_calls_of_the_applier_to_itself_are_the_proof(synced: AnyMigration) -> None:
    count(synced, "heartbeat", "in_time", 58)
    gate = found(synced)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert gate.message == (
        "No change past the app; 0 of 58 calls of the applier to itself took longer than 100 ms in the last 24 h;"
        " 1 more, all good, are needed to say that fewer than 5 % do."
    )
    count(synced, "heartbeat", "in_time", 1, ago=timedelta(hours=1))
    assert found(synced).verdict is Verdict.PASS
    count(synced, "heartbeat", "late", 200)
    assert found(synced).verdict is Verdict.FAIL


def test_a_few_changes_must_all_have_been_in_time(synced: AnyMigration) -> None:
    count(synced, "heartbeat", "in_time", 10_000)
    count(synced, "change", "in_time", 30)
    gate = found(synced)
    assert gate.verdict is Verdict.PASS
    assert gate.message.startswith("30 changes past the app, all in time; 0 of 10,000 calls")
    count(synced, "change", "late", 1)
    gate = found(synced)
    assert (gate.verdict, gate.k, gate.n) == (Verdict.INCONCLUSIVE, 1, 31)


@pytest.mark.parametrize("silent", [timedelta(seconds=16), timedelta(days=2)])
def test_nothing_passes_while_nobody_carries_changes_over(synced: AnyMigration, silent: timedelta) -> None:
    count(synced, "change", "in_time", 5_000)
    count(synced, "heartbeat", "in_time", 10_000)
    assert found(synced).verdict is Verdict.PASS
    Heartbeat.objects.update(at=Now() - silent)
    gate = found(synced)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert "The applier was last heard of" in gate.message
    Heartbeat.objects.all().delete()
    assert "has never been heard of" in found(synced).message


def test_another_process_or_migration_is_no_sign_of_life(synced: AnyMigration) -> None:
    count(synced, "change", "in_time", 5_000)
    Heartbeat.objects.update(role="evaluator")
    assert found(synced).verdict is Verdict.INCONCLUSIVE
    Heartbeat.objects.update(role="applier", migration="boards")
    assert found(synced).verdict is Verdict.INCONCLUSIVE


def test_what_still_waits_is_late_already(synced: AnyMigration) -> None:
    count(synced, "heartbeat", "in_time", 10_000)
    wait("young", ago=timedelta(0))
    DirtyKey.objects.update(created_at=Now() + timedelta(minutes=1))
    assert found(synced).verdict is Verdict.PASS
    wait("old", ago=timedelta(seconds=90))
    gate = found(synced)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert gate.message.endswith("The oldest one waits for 90 s.")
    assert (gate.k, gate.n) == (1, 1)
    wait("older", ago=timedelta(seconds=91))
    assert (found(synced).verdict, found(synced).clear) == (Verdict.FAIL, False)


def test_what_failed_and_backs_off_waits_and_what_a_writer_will_withdraw_does_not(synced: AnyMigration) -> None:
    soon = Now() + timedelta(minutes=5)
    wait("withdrawn", ago=timedelta(seconds=3), not_before=soon)
    assert found(synced).n == 0
    wait("failed", ago=timedelta(seconds=3), not_before=soon, attempts=2)
    assert (found(synced).k, found(synced).n) == (1, 1)
