"""`sync_changes`: once, or following as a process of its own through signals and a server that goes away."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Now

from migration_ops import registry
from migration_ops.backfill.stop import Stop
from migration_ops.definition import AnyMigration, CapturedTable, Side
from migration_ops.exceptions import UnusableInput
from migration_ops.models import DirtyKey, Heartbeat, Metric
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.sync import dirty
from migration_ops.sync.applier_loop import ApplierLoop
from migration_ops.sync.listener import Listener
from tests.engine.syncing import begin_dual_write, command, rows, run, second_connection
from tests.engine.waiting import eventually
from tests.notes import schema
from tests.notes.note import NoteKey
from tests.notes.stores import LegacyNotes

FOLLOWING = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND query LIKE 'LISTEN%%migration_ops_dirty%%' AND pid <> pg_backend_pid()"
)


@pytest.fixture
def synced(notes: AnyMigration) -> AnyMigration:
    begin_dual_write(notes)
    return notes


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    out, errors = process.communicate(timeout=30)
    return process.returncode, json.loads(out), errors


def test_once_it_applies_what_waits_and_says_how_much(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"), ("b", "u", "y"))
    exit_code, data = command("sync_changes")
    assert exit_code == 0
    assert (data["applied"], data["failed"], data["remaining"]) == (2, 0, 0)
    assert 0 < data["lag_p95_ms"] < 60_000
    assert command("sync_changes") == (0, {"applied": 0, "failed": 0, "remaining": 0, "lag_p95_ms": None})


def test_what_failed_ends_with_1_and_is_tried_again_by_the_next_command(synced: AnyMigration) -> None:
    schema.add_rows(("a", "held", None))
    command("sync_changes")
    dirty.mark_keys(synced, [NoteKey("a", "held")], side=Side.MODERN)
    schema.add_rows(("b", "u", "y"))
    exit_code, data = command("sync_changes")
    assert (exit_code, data["applied"], data["failed"], data["remaining"]) == (1, 1, 1, 1)
    exit_code, data = command("sync_changes")
    assert (exit_code, data["failed"]) == (1, 1)
    assert DirtyKey.objects.get().attempts == 2
    run("UPDATE legacy_notes SET body = 'x' WHERE body IS NULL")
    exit_code, data = command("sync_changes")
    assert (exit_code, data["applied"], data["remaining"]) == (0, 2, 0)


def test_a_dry_run_says_how_much_waits_and_writes_nothing(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"), ("b", "u", "y"))
    before = list(DirtyKey.objects.order_by("id").values())
    exit_code, data = command("sync_changes", "--dry-run")
    assert (exit_code, data["remaining"], data["applied"], data["dry_run"]) == (0, 2, 0, True)
    assert list(DirtyKey.objects.order_by("id").values()) == before
    assert schema.modern_rows() == []
    assert command("sync_changes", "--dry-run", "--follow")[0] == 2


class FlickeringNotes(LegacyNotes):
    """A store without triggers that cannot be read the first few times, as a file that is being replaced."""

    captured_tables: Sequence[CapturedTable] = ()
    failures = 2

    def version(self) -> str | None:
        if FlickeringNotes.failures:
            FlickeringNotes.failures -= 1
            raise UnusableInput("The file is empty.")
        return "2"


def test_following_goes_on_when_the_legacy_store_is_away_for_a_moment(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlickeringNotes, "failures", 0)
    flickering = replace(notes, legacy=FlickeringNotes)
    begin_dual_write(flickering)
    run("UPDATE migration_ops_polledversion SET version = '1'")
    schema.add_rows(("a", "t", "x"))
    monkeypatch.setattr(FlickeringNotes, "failures", 2)
    said: list[str] = []
    done = ApplierLoop(flickering, stop=Stop(), say=said.append).run(seconds=4)
    assert said == ["The file is empty."]
    assert done.applied == 1
    monkeypatch.setattr(FlickeringNotes, "failures", 1)
    registry.unregister(notes.name)
    registry.register(flickering)
    try:
        assert command("sync_changes")[0] == 2
    finally:
        registry.unregister(notes.name)
        registry.register(notes)


def test_at_stage_off_it_says_that_nothing_is_captured(notes: AnyMigration) -> None:
    exit_code, data = command("sync_changes")
    assert exit_code == 4
    assert "stage off: nothing is captured" in data["error"]
    assert (data["applied"], data["remaining"]) == (0, 0)


def test_following_for_some_seconds_applies_what_comes_meanwhile(
    synced: AnyMigration, start_notes_command: Callable[..., Any]
) -> None:
    follower = start_notes_command("sync_changes", "--follow", "--max-seconds", "60", "--json")
    eventually(lambda: rows(FOLLOWING))
    schema.add_rows(("a", "t", "x"))
    eventually(schema.modern_rows)
    run("UPDATE legacy_notes SET body = 'y'")
    eventually(lambda: schema.modern_rows() == [("a", "t", ["y"])])
    follower.send_signal(signal.SIGTERM)
    exit_code, data, _ = ended(follower)
    assert exit_code == 143
    assert (data["applied"], data["failed"], data["remaining"]) == (2, 0, 0)
    assert data["lag_p95_ms"] < 1000


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly_and_at_once(
    synced: AnyMigration, start_notes_command: Callable[..., Any], number: int, exit_code: int
) -> None:
    follower = start_notes_command("sync_changes", "--follow", "--json")
    eventually(lambda: rows(FOLLOWING))
    follower.send_signal(number)
    began = time.monotonic()
    got, data, errors = ended(follower)
    assert (got, data["applied"]) == (exit_code, 0)
    assert "run the same command again" in errors
    assert time.monotonic() - began < 5
    assert "Traceback" not in errors


def test_its_bound_ends_it_with_0(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    exit_code, data = command("sync_changes", "--follow", "--max-seconds", "0.3")
    assert (exit_code, data["applied"]) == (0, 1)


def test_it_outlives_its_connections(synced: AnyMigration, start_notes_command: Callable[..., Any]) -> None:
    follower = start_notes_command("sync_changes", "--follow", "--json")
    eventually(lambda: rows(FOLLOWING))
    before = rows(FOLLOWING)
    run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
    )
    eventually(lambda: rows(FOLLOWING) and rows(FOLLOWING) != before)
    schema.add_rows(("a", "t", "x"))
    eventually(schema.modern_rows)
    follower.send_signal(signal.SIGINT)
    exit_code, data, errors = ended(follower)
    assert (exit_code, data["applied"]) == (130, 1)
    assert "The database is not there" in errors


def test_it_waits_while_nothing_is_captured_and_begins_when_something_is(
    notes: AnyMigration, start_notes_command: Callable[..., Any]
) -> None:
    follower = start_notes_command("sync_changes", "--follow", "--json")
    eventually(lambda: rows(FOLLOWING))
    begin_dual_write(notes)
    schema.add_rows(("a", "t", "x"))
    eventually(schema.modern_rows)
    follower.send_signal(signal.SIGTERM)
    exit_code, data, errors = ended(follower)
    assert (exit_code, data["applied"]) == (143, 1)
    assert errors.count("stage off: nothing is captured") == 1


def test_it_looks_every_second_even_when_nobody_calls(synced: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    run("UPDATE migration_ops_dirtykey SET not_before = clock_timestamp() + interval '400 ms'")
    stop = Stop()
    done = ApplierLoop(synced, stop=stop, say=lambda sentence: None).run(seconds=2.5)
    assert (done.applied, done.remaining) == (1, 0)


def test_a_call_ends_the_wait_at_once(synced: AnyMigration) -> None:
    with Listener() as listener:
        began = time.monotonic()
        with second_connection() as user:
            user.execute("INSERT INTO legacy_notes (notebook, title, body) VALUES ('a', 't', 'x')")
        assert listener.wait(30) is True
        assert time.monotonic() - began < 5
        assert listener.wait(0) is False
    assert connection.is_usable()


def counted(name: str) -> dict[str, int]:
    """How often, by outcome."""
    return dict(Metric.objects.filter(name=name).values_list("outcome").annotate(Sum("count")))


def follow(migration: AnyMigration, *, seconds: float = 0.5) -> list[str]:
    """What the follower said."""
    said: list[str] = []
    ApplierLoop(migration, stop=Stop(), say=said.append).run(seconds=seconds)
    return said


def test_following_counts_how_long_each_change_took(synced: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SYNC_LAG_LIMIT": timedelta(seconds=5)}  # however busy the machine is
    schema.add_rows(("a", "t", "x"), ("b", "u", "y"))
    DirtyKey.objects.filter(row__in=DirtyKey.objects.order_by("id").values("row")[:1]).update(
        created_at=Now() - timedelta(seconds=7)
    )
    follow(synced)
    assert counted("change") == {"late": 1, "in_time": 1}
    late = Metric.objects.get(name="change", outcome="late")
    assert 7 < late.seconds < 30


def test_following_says_that_it_is_alive_and_how_soon_it_hears_a_call(synced: AnyMigration, settings: Any) -> None:
    assert heartbeat.age(synced, Role.APPLIER) is None
    settings.MIGRATION_OPS = {
        "SYNC_HEARTBEAT": timedelta(milliseconds=100),
        "SYNC_POLL": timedelta(milliseconds=10),
        "SYNC_LAG_LIMIT": timedelta(seconds=10),
    }
    follow(synced, seconds=1)
    age = heartbeat.age(synced, Role.APPLIER)
    assert age is not None
    assert age < 30
    assert heartbeat.age(synced, Role.EVALUATOR) is None
    heard = counted("heartbeat")
    assert heard.keys() == {"in_time"}
    assert 2 <= heard["in_time"] <= 10
    assert Heartbeat.objects.count() == 1


def test_a_heartbeat_that_was_heard_too_late_is_counted_as_late(synced: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SYNC_LAG_LIMIT": timedelta(microseconds=1)}
    follow(synced)
    assert counted("heartbeat") == {"late": 1}


def test_who_cannot_keep_the_stores_in_step_does_not_say_that_it_does(notes: AnyMigration) -> None:
    assert follow(notes) == [
        "notes is at stage off: nothing is captured, so there is nothing to sync. Run `manage.py stage advance` first."
    ]
    assert heartbeat.age(notes, Role.APPLIER) is None
    assert counted("heartbeat") == {}


def test_the_youngest_heartbeat_counts(synced: AnyMigration) -> None:
    Heartbeat.objects.create(migration="notes", role="applier", process="gone:1", at=Now() - timedelta(days=3))
    old = heartbeat.age(synced, Role.APPLIER)
    assert old == pytest.approx(3 * 86_400, abs=60)
    heartbeat.beat(synced, Role.APPLIER)
    heartbeat.beat(synced, Role.APPLIER)
    young = heartbeat.age(synced, Role.APPLIER)
    assert young is not None
    assert young < 60
    assert Heartbeat.objects.count() == 2


@pytest.mark.parametrize("nonsense", ["nan", "inf", "0", "-1", "soon"])
def test_nonsense_for_how_long_is_refused_before_anything_runs(nonsense: str) -> None:
    with pytest.raises(CommandError, match="is no positive number of seconds"):
        call_command("sync_changes", "--follow", "--max-seconds", nonsense)


def test_a_usage_error_is_one_json_object_too(notes: AnyMigration, start_notes_command: Callable[..., Any]) -> None:
    process = start_notes_command("sync_changes", "--json", "--nope")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert json.loads(out) == {"error": "unrecognized arguments: --nope"}
    assert "usage:" in err
