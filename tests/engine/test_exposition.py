"""`/metrics` says what is so, in a form that Prometheus reads, and says nothing about families."""

from __future__ import annotations

import re
import socket
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import Metric as Family

from habits.migration import boards
from migration_ops import registry
from migration_ops.definition import AnyMigration
from migration_ops.exposition.counted import TIMED
from migration_ops.gates import Verdict, overrides
from migration_ops.gates.overrides import Vouching
from migration_ops.models import DirtyKey, GateReading, Metric, QuarantineItem
from migration_ops.observe import heartbeat, metrics, retention
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.measures import What
from migration_ops.observe.metrics import Measured
from migration_ops.rollout import control, evaluator
from migration_ops.stages import ORDER
from migration_ops.state import read
from migration_ops.sync.dual_write import Outcome, writing
from tests.engine.scraping import families, series, text, value
from tests.engine.syncing import begin_dual_write, command, go_to_ramp, run
from tests.notes.note import Note, NoteKey
from tests.notes.schema import add_rows

DOCUMENTED = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"


@pytest.fixture(autouse=True)
def _nothing_counted_before() -> None:
    metrics._counter.take()


def write(migration: AnyMigration, title: str, *lines: str) -> Outcome:
    key = NoteKey("kitchen", title)
    with writing(migration, key) as draft:
        draft.document = Note(key, lines)
    return draft.outcome


def count(migration: AnyMigration, what: str, *, seconds: float = 0.003, **labels: Any) -> None:
    metrics.add(migration, Measured(what, **labels), seconds=seconds)


def histograms() -> list[tuple[Family, dict[str, str]]]:
    """Every histogram with the labels of each of its children."""
    return [
        (family, sample.labels)
        for family in families().values()
        if family.type == "histogram"
        for sample in family.samples
        if sample.name == f"{family.name}_count"
    ]


def test_writes_are_counted_by_store_outcome_and_sqlstate(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    assert [write(notes, title, "salt") for title in ("soup", "stew", "bread")] == [Outcome.BOTH] * 3
    run("ALTER TABLE modern_notes ADD CONSTRAINT no_milk CHECK (title <> 'milk')")
    assert write(notes, "milk", "two pints") is Outcome.FAILED
    assert metrics.flush()
    assert series("write_duration_seconds_count", "store", "outcome") == {
        ("legacy", "both"): 3,
        ("legacy", "failed"): 1,
    }
    assert series("failures_total", "operation", "store", "outcome", "sqlstate") == {
        ("write", "legacy", "failed", "23514"): 1
    }
    assert all(0 < seconds < 60 for seconds in series("write_duration_seconds_sum", "outcome").values())
    assert series("dirty_keys", "store") == {"legacy": 1, "modern": 0}
    assert 0 <= value("dirty_key_oldest_age_seconds") < 60


def test_buckets_are_cumulative_and_the_last_one_is_the_count(notes: AnyMigration) -> None:
    for seconds in (0.0, 0.0001, 0.00011, 0.0004, 0.05, 0.1024, 3.0, 104.0, 1e6):
        count(notes, What.READ, side="legacy", outcome="ok", cohort="bucket", seconds=seconds)
    count(notes, What.CHANGE, outcome="late", seconds=0.2)
    assert metrics.flush()
    found = histograms()
    assert len(found) == 2
    for family, labels in found:
        mine = [each for each in family.samples if each.labels.items() >= labels.items()]
        buckets = [(float(each.labels["le"]), each.value) for each in mine if each.name == f"{family.name}_bucket"]
        assert all(lower < upper and fewer <= more for (lower, fewer), (upper, more) in pairwise(buckets))
        assert buckets[-1] == (float("inf"), next(each.value for each in mine if each.name.endswith("_count")))
        assert len(buckets) == 22
    reads = series("read_duration_seconds_bucket", "le")
    assert [reads[le] for le in ("0.0001", "0.0002", "0.0004", "0.0512", "0.1024", "3.2768", "104.8576", "+Inf")] == [
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
    ]
    assert value("read_duration_seconds_sum") == pytest.approx(1e6 + 107.15301)


def test_a_counter_never_falls_when_minutes_are_thrown_away(notes: AnyMigration) -> None:
    for _ in range(3):
        count(notes, What.READ, side="modern", outcome="fallback", sqlstate="57014", step=1)
    assert metrics.flush()
    run("UPDATE migration_ops_metric SET minute = minute - interval '31 days'")
    count(notes, What.READ, side="modern", outcome="fallback", sqlstate="57014", step=2)
    assert metrics.flush()
    assert retention.purge() == 1
    assert list(Metric.objects.values_list("count", flat=True)) == [1]
    assert value("failures_total") == value("read_duration_seconds_count") == 4
    assert series("read_duration_seconds_bucket", "le")["0.0032"] == 4
    assert value("read_duration_seconds_sum") == pytest.approx(0.012)


def test_minute_and_total_are_written_together_or_not_at_all(notes: AnyMigration) -> None:
    count(notes, What.READ, side="modern", outcome="ok")
    run("ALTER TABLE migration_ops_metrictotal ADD CONSTRAINT no_more CHECK (count < 1)")
    try:
        assert not metrics.flush()
    finally:
        run("ALTER TABLE migration_ops_metrictotal DROP CONSTRAINT no_more")
    assert not Metric.objects.exists()
    assert metrics.flush()
    assert Metric.objects.get().count == value("read_duration_seconds_count") == 1


def test_rules_and_errors_are_told_apart_and_survive_every_character(notes: AnyMigration) -> None:
    odd = 'a "rule" \\ with\neverything {le="1"} 규칙'
    count(notes, What.SHADOW_READ, side="modern", outcome="ignored", sqlstate=odd)
    count(notes, What.SHADOW_READ, side="modern", outcome="matched")
    count(notes, What.SHADOW_READ, side="modern", outcome="error", sqlstate="a\\b")
    assert metrics.flush()
    assert series("shadow_reads_ignored_total", "rule") == {odd: 1}
    assert series("failures_total", "outcome", "sqlstate") == {("error", "a\\b"): 1}
    assert series("shadow_read_duration_seconds_count", "outcome") == {"ignored": 1, "matched": 1, "error": 1}


def test_the_state_is_said_in_numbers(notes: AnyMigration) -> None:
    assert (value("step"), series("stepped_timestamp_seconds")) == (0, {})
    assert series("stage", "stage")["off"] == 1
    begin_dual_write(notes)
    go_to_ramp(notes, percent=5)
    stages = series("stage", "stage")
    assert ([stage for stage, here in stages.items() if here], set(stages)) == (["ramp"], set(ORDER))
    assert (value("ramp_ratio"), value("modern_ratio")) == (0.05, 0.05)
    assert (value("held"), value("killed")) == (0, 0)
    control.hold(notes, actor="ops", reason="x")
    control.kill(notes, actor="ops", reason="x")
    assert (value("held"), value("killed")) == (1, 1)
    assert (value("ramp_ratio"), value("modern_ratio")) == (0.05, 0)
    now = read(notes)
    assert now.stepped_at
    assert value("step") == now.step > 0
    assert value("stepped_timestamp_seconds") == pytest.approx(now.stepped_at.timestamp())


def test_break_glass_settings_show(notes: AnyMigration, settings: Any) -> None:
    assert (series("pinned", "store"), value("dual_write_off")) == ({"legacy": 0, "modern": 0}, 0)
    settings.DATA_BACKEND, settings.DUAL_WRITE = "modern", False
    assert (series("pinned", "store"), value("dual_write_off")) == ({"legacy": 0, "modern": 1}, 1)


def carry_over(migration: AnyMigration) -> None:
    """Rows in both stores, compared."""
    add_rows(("kitchen", "soup", "salt and pepper"))
    begin_dual_write(migration)
    for step in (("backfill",), ("shadow_schema", "validate"), ("validate_migration",)):
        assert command(*step)[0] == 0, step


def test_canaries_are_counted_and_not_named(notes: AnyMigration, django_user_model: Any) -> None:
    carry_over(notes)
    go_to_ramp(notes, percent=0)
    users = tuple(django_user_model.objects.create(email=f"{name}@example.org") for name in ("ann", "ben"))
    groups = tuple(Group.objects.create(name=name) for name in ("testers", "staff", "friends"))
    control.canary(notes, control.Canaries(percent=Decimal(2), users=users, groups=groups), actor="ops")
    assert (value("canary_users"), value("canary_groups")) == (2, 3)
    assert (value("canary_ratio"), value("ramp_ratio"), value("modern_ratio")) == (0.02, 0, 0.02)


def test_what_waits_is_counted(notes: AnyMigration) -> None:
    for side, minutes, attempts in (("legacy", 1, 0), ("modern", 10, 3), ("modern", 2, 0)):
        DirtyKey.objects.create(
            migration="notes",
            side=side,
            key=f"{side}{minutes}",
            created_at=timezone.now() - timedelta(minutes=minutes),
            attempts=attempts,
        )
    assert series("dirty_keys", "store") == {"legacy": 1, "modern": 2}
    assert value("dirty_keys_failing") == 1
    assert 600 <= value("dirty_key_oldest_age_seconds") < 660


def test_quarantined_rows_are_counted_by_code_and_codes_without_any_are_there_as_well(notes: AnyMigration) -> None:
    for number, status in enumerate(("open", "open", "accepted", "resolved")):
        quarantine(number, "title_missing", status=status)
    found = series("quarantined_rows", "status", "code")
    assert len(found) == 2 * len(notes.rejection_codes)
    assert {key: rows for key, rows in found.items() if rows} == {
        ("open", "title_missing"): 2,
        ("accepted", "title_missing"): 1,
    }


def quarantine(number: int, code: str, status: str = "open") -> None:
    QuarantineItem.objects.create(
        migration="notes",
        row=f"row{number}",
        key='["kitchen", "soup"]',
        code=code,
        message="of the kitchen",
        found_at=timezone.now(),
        status=status,
    )


def test_gates_are_what_the_evaluator_found_at_this_step(notes: AnyMigration) -> None:
    assert series("gate_open") == {}
    begin_dual_write(notes)
    found = {gate.id: gate for gate in evaluator.evaluate(notes).gates}
    assert {Verdict.PASS, Verdict.INCONCLUSIVE} <= {gate.verdict for gate in found.values()}
    assert series("gate_open", "gate") == {name: gate.verdict is Verdict.PASS for name, gate in found.items()}
    said = {key for key, yes in series("gate_verdict", "gate", "verdict").items() if yes}
    assert said == {(name, gate.verdict.value) for name, gate in found.items()}
    assert all(0 <= age < 60 for age in series("gate_reading_age_seconds", "gate").values())
    closed = next(name for name, gate in found.items() if not gate.is_open)
    GateReading.objects.create(migration="notes", step=read(notes).step, gate=closed, verdict="fail")
    assert series("gate_verdict", "gate", "verdict")[closed, "fail"] == 1
    overrides.grant(notes, read(notes), [closed], Vouching("ann", "we know"))
    assert series("gate_open", "gate")[closed] == 1
    run("UPDATE migration_ops_migrationstate SET kill = true, version = version + 1")  # another step
    assert series("gate_open", "gate") == {}


def test_a_process_that_is_silent_grows_old(notes: AnyMigration) -> None:
    assert series("process_heartbeat_age_seconds", "role") == {}
    heartbeat.beat(notes, Role.EVALUATOR)
    heartbeat.beat(notes, Role.APPLIER)
    run("UPDATE migration_ops_heartbeat SET at = at - interval '100 seconds' WHERE role = 'applier'")
    ages = series("process_heartbeat_age_seconds", "role")
    assert 0 <= ages["evaluator"] < 60 < 100 <= ages["applier"] < 160


def test_nothing_names_a_unit_a_person_or_a_machine(notes: AnyMigration, django_user_model: Any) -> None:
    carry_over(notes)
    write(notes, "soup", "more pepper")
    go_to_ramp(notes, percent=5)
    user = django_user_model.objects.create(email="zoey@example.org")
    control.canary(notes, control.Canaries(header="X-Zoey", users=(user,)), actor="zoey")
    control.hold(notes, actor="zoey the operator", reason="because of the kitchen")
    quarantine(1, "body_missing")
    heartbeat.beat(notes, Role.APPLIER)
    DirtyKey.objects.create(
        migration="notes", side="legacy", key='["kitchen", "soup"]', created_at=timezone.now(), error="pepper"
    )
    metrics.flush()
    shown = text().lower()
    for word in ("kitchen", "soup", "pepper", "row1", "zoey", "X-Zoey", str(user.pk), socket.gethostname()):
        assert word.lower() not in shown, word


def test_every_thing_that_is_counted_has_a_family() -> None:
    assert set(TIMED) == set(What)


def test_every_family_is_documented_with_its_type_and_no_other_is(notes: AnyMigration) -> None:
    rows = re.findall(r"^\| `(migration_ops_\w+)` \| (\w+) \|", DOCUMENTED.read_text(), flags=re.MULTILINE)
    types = re.findall(r"^# TYPE (\w+) (\w+)$", text(), flags=re.MULTILINE)
    assert rows == types


def test_several_migrations_share_each_family(notes: AnyMigration) -> None:
    registry.register(boards)
    try:
        count(notes, What.READ, side="legacy", outcome="ok")
        count(boards, What.READ, side="legacy", outcome="ok")
        count(boards, What.READ, side="legacy", outcome="ok")
        assert metrics.flush()
        shown = text()
        found = [series("read_duration_seconds_count", migration=name) for name in ("notes", "boards")]
    finally:
        registry.unregister(boards.name)
    assert found == [{(): 1}, {(): 2}]
    assert shown.count("# TYPE migration_ops_read_duration_seconds histogram") == 1


def test_looking_costs_no_more_statements_however_much_there_is(notes: AnyMigration) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as counted:
            text()
        return len(counted)

    before = statements()
    begin_dual_write(notes)
    evaluator.evaluate(notes)
    heartbeat.beat(notes, Role.APPLIER)
    for number in range(60):
        quarantine(number, f"code{number}")
        count(notes, What.READ, side="legacy", outcome="error", cohort=f"c{number}", sqlstate=f"{number:05}")
        DirtyKey.objects.create(migration="notes", side="legacy", row=str(number), created_at=timezone.now())
    assert metrics.flush()
    assert len(series("failures_total", "sqlstate")) == 60
    assert statements() == before <= 16
