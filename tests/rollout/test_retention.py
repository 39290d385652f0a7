"""What was measured long ago is thrown away, in bites; what was counted in memory reaches the database in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from migration_ops import history
from migration_ops.definition import AnyMigration
from migration_ops.models import GateOverride, GateReading, Heartbeat, HistoryEntry, Metric, ReadDifference
from migration_ops.observe import metrics, retention
from migration_ops.observe.metrics import Measured
from tests.engine.waiting import eventually


def measured(age: timedelta) -> None:
    """One row of each kind, so old."""
    at = timezone.now() - age
    Metric.objects.create(
        migration="notes", minute=at, name=f"old {age.days}", count=1, seconds=0.1, histogram=metrics.histogram.empty()
    )
    GateReading.objects.create(migration="notes", step=1, gate="sync_lag", verdict="pass", at=at)
    ReadDifference.objects.create(migration="notes", key=f"{age.days}", step=1, last_seen=at)
    GateOverride.objects.create(migration="notes", step=1, gates=["sync_lag"], actor="ann", reason="x", expires_at=at)
    Heartbeat.objects.create(migration="notes", role="applier", process=f"{age.days}", at=at)


KINDS: list[Any] = [Metric, GateReading, ReadDifference, GateOverride, Heartbeat]


def test_what_is_older_than_the_retention_goes_and_the_history_stays(notes: AnyMigration) -> None:
    measured(timedelta(days=31))
    measured(timedelta(days=29))
    history.append(notes, actor="ann", verb="test")
    assert retention.purge() == len(KINDS)
    assert [kind.objects.count() for kind in KINDS] == [1] * len(KINDS)
    assert retention.purge() == 0
    assert HistoryEntry.objects.count() == 1


def test_one_call_takes_no_more_than_a_bite(notes: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 1)
    for days in (31, 32, 33):
        measured(timedelta(days=days))
    assert [retention.purge() for _ in range(4)] == [len(KINDS)] * 3 + [0]


def test_while_it_flushes_what_is_counted_is_written_without_asking(notes: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"METRICS_FLUSH": timedelta(milliseconds=20)}
    with metrics.flushing():
        metrics.add(notes, Measured("during"), seconds=0.1)
        eventually(Metric.objects.filter(name="during").exists)
        settings.MIGRATION_OPS = {"METRICS_FLUSH": timedelta(hours=1)}
        metrics.add(notes, Measured("at the end"), seconds=0.1)
    assert Metric.objects.filter(name="at the end").exists()
