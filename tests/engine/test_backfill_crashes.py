"""Killed, stopped, frozen or cut off at any moment: run again, and the result is the same."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from migration_ops import failpoints
from migration_ops.backfill import batch, completion, finish, service
from migration_ops.definition import AnyMigration
from migration_ops.models import Run, RunRange
from tests.engine.backfilling import backfill, fill
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, rows, run, second_connection
from tests.engine.waiting import eventually
from tests.notes import schema

Start = Callable[..., "subprocess.Popen[str]"]

IN_A_BATCH = (batch.BEGUN, batch.READ, batch.SAVED, batch.RECORDED, batch.ADVANCED, batch.COMMITTED)
AROUND = (service.OPENED, finish.VANISHED, finish.DRAINED, completion.CLOSED)
MESS = (("home", "milk", "one"), ("home", "milk ", "two"), ("home", "bread", None), (None, "lost", "no notebook"))


@pytest.fixture
def writing(notes: AnyMigration) -> AnyMigration:
    """The tiny domain at stage `dual_write`, with rows from before that."""
    for number in range(4):
        schema.add_rows(*MESS, *((f"book{number}", f"n{each}", "line") for each in range(10)))
    begin_dual_write(notes)
    return notes


def content() -> tuple[Any, ...]:
    """All that a backfill leaves behind, without ids and times."""
    return (
        schema.modern_rows(),
        rows("SELECT row, key, code, fingerprint FROM migration_ops_lineage ORDER BY row"),
        rows("SELECT row, key, code, message, held_by, status FROM migration_ops_quarantineitem ORDER BY row"),
        rows("SELECT key, rows, conflicts FROM migration_ops_mergerecord ORDER BY key"),
    )


def wipe() -> None:
    for table in ("lineage", "quarantineitem", "mergerecord", "dirtykey", "difference", "runrange", "run"):
        run(f"DELETE FROM migration_ops_{table}")
    run("DELETE FROM modern_notes")


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=60)
    return {"code": process.returncode, "stderr": error, **(json.loads(out) if out.strip() else {})}


def test_every_failpoint_of_the_backfill_is_tried() -> None:
    ours = {label for label in failpoints.LABELS if label.startswith("backfill.")}
    assert ours == {*IN_A_BATCH, *AROUND}


@pytest.mark.parametrize("failpoint", [f"{label}:{time}" for label in IN_A_BATCH for time in (1, 4)] + list(AROUND))
def test_killed_at_any_point_and_run_again_it_ends_in_the_same_data(
    writing: AnyMigration, start_notes_command: Start, failpoint: str
) -> None:
    whole = backfill("--batch-size", "7")[1]
    expected = content()
    wipe()
    killed = start_notes_command("backfill", "--batch-size", "7", "--json", failpoint=failpoint)
    ended = end(killed)
    assert ended["code"] == -signal.SIGKILL, ended
    code, said, error = backfill("--batch-size", "7")
    assert code == 3, error
    assert content() == expected
    assert_in_step()
    counted = ("notes_written", "notes_unchanged", "notes_merged", "rows_quarantined")
    assert said["rows_read"] == whole["rows_read"] == sum(said[name] for name in counted)
    if not failpoint.startswith(completion.CLOSED):
        assert {name: said[name] for name in counted} == {name: whole[name] for name in counted}
        assert Run.objects.count() == 1


def test_a_frozen_worker_that_wakes_up_after_its_lease_commits_nothing(
    writing: AnyMigration, start_notes_command: Start
) -> None:
    """SIGSTOP in the middle of a batch: the server ends its transaction, another worker goes on, then it wakes up."""
    blocker = second_connection()
    blocker.execute("LOCK TABLE modern_notes IN EXCLUSIVE MODE")
    frozen = start_notes_command("backfill", "--batch-size", "7", "--json")
    eventually(lambda: rows("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'modern_notes'::regclass"))
    frozen.send_signal(signal.SIGSTOP)
    blocker.rollback()
    blocker.close()
    run("UPDATE migration_ops_runrange SET lease_until = clock_timestamp() - interval '1 second'")
    tokens = dict(RunRange.objects.values_list("number", "token"))
    code, _, error = backfill("--batch-size", "7")
    assert code == 3, error
    before = content()
    frozen.send_signal(signal.SIGCONT)
    woken = end(frozen)
    assert woken["code"] == 1
    assert "lost its lease" in woken["stderr"]
    assert content() == before
    assert_in_step()
    assert Run.objects.get().status == "succeeded"
    assert all(now > tokens[number] for number, now in RunRange.objects.values_list("number", "token"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_ends_it_cleanly_after_the_batch_and_it_goes_on_later(
    writing: AnyMigration, start_notes_command: Start, number: signal.Signals, code: int, workers: str
) -> None:
    fill(3_000)
    process = start_notes_command("backfill", "--batch-size", "3", "--workers", workers, "--json")
    eventually(lambda: len(schema.modern_rows()) > 10)
    process.send_signal(number)
    ended = end(process)
    assert ended["code"] == code, ended
    left = Run.objects.get()
    assert left.status == "paused"
    assert not RunRange.objects.exclude(lease_until=None).exists()
    assert ended["rows_read"] > 0
    assert "rror" not in ended["stderr"]
    final_code, said, error = backfill()
    assert final_code == 3, error
    assert said["run"] == left.pk
    assert_in_step()


def test_pause_from_another_terminal_is_obeyed_and_resume_goes_on(
    writing: AnyMigration, start_notes_command: Start
) -> None:
    fill(3_000)
    process = start_notes_command("backfill", "--batch-size", "3", "--json")
    eventually(lambda: len(schema.modern_rows()) > 10)
    code, said, _ = backfill("pause")
    assert (code, said["status"]) == (0, "paused")
    ended = end(process)
    assert (ended["code"], ended["status"]) == (0, "paused")
    copied = len(schema.modern_rows())
    assert copied < 3_000
    code, said, error = backfill("resume")
    assert code == 3, error
    assert (said["status"], said["run"]) == ("succeeded", ended["run"])
    assert_in_step()


def test_cancel_from_another_terminal_keeps_what_was_written_and_the_next_run_begins_anew(
    writing: AnyMigration, start_notes_command: Start
) -> None:
    fill(3_000)
    process = start_notes_command("backfill", "--batch-size", "3", "--workers", "2", "--json")
    eventually(lambda: len(schema.modern_rows()) > 10)
    assert backfill("cancel")[1]["status"] == "cancelled"
    ended = end(process)
    assert (ended["code"], ended["status"]) == (0, "cancelled")
    copied = len(schema.modern_rows())
    assert 10 < copied < 3_000
    said = backfill()[1]
    assert said["run"] != ended["run"]
    assert said["notes_unchanged"] == copied
    assert_in_step()


def test_a_worker_that_is_killed_is_replaced_by_the_others(writing: AnyMigration, start_notes_command: Start) -> None:
    fill(2_000)
    process = start_notes_command("backfill", "--batch-size", "3", "--workers", "2", "--json")
    holders = eventually(
        lambda: RunRange.objects.filter(number__gt=0).exclude(lease_owner="").values_list("lease_owner", flat=True)
    )
    victim = int(holders[0].rpartition(":")[2])
    assert victim != process.pid
    kill(victim)
    ended = end(process)
    assert ended["code"] == 3, ended
    assert ended["rows_read"] == 2_056
    assert_in_step()


def test_when_all_workers_are_killed_it_says_so_and_can_go_on(
    writing: AnyMigration, start_notes_command: Start
) -> None:
    fill(3_000)
    process = start_notes_command("backfill", "--batch-size", "3", "--workers", "2", "--json")
    owners = RunRange.objects.filter(number__gt=0).exclude(lease_owner="").values_list("lease_owner", flat=True)
    victims = eventually(lambda: len(set(owners.all())) == 2 and set(owners.all()))
    for victim in victims:
        kill(int(victim.rpartition(":")[2]))
    ended = end(process)
    assert ended["code"] == 1
    assert "killed by SIGKILL" in ended["stderr"]
    code, said, error = backfill()
    assert code == 3, error
    assert said["rows_read"] == 3_056
    assert_in_step()


def test_workers_stop_when_the_process_that_started_them_is_killed(
    writing: AnyMigration, start_notes_command: Start
) -> None:
    fill(5_000)
    process = start_notes_command("backfill", "--batch-size", "3", "--workers", "2", "--json")
    eventually(lambda: len(schema.modern_rows()) > 10)
    process.kill()
    process.wait()
    code, said, error = backfill("pause")
    assert (code, said["status"]) == (0, "paused"), error
    assert not RunRange.objects.filter(number__gt=0).exclude(lease_until=None).exists()
    assert len(schema.modern_rows()) < 5_000
    assert backfill()[0] == 3
    assert_in_step()


def test_killed_together_with_a_statement_under_way_it_goes_on_at_once(
    writing: AnyMigration, start_notes_command: Start
) -> None:
    """The server notices only after the statement that its client is gone; whoever comes next waits for that."""
    run("CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$")
    try:
        run("CREATE TRIGGER linger BEFORE INSERT ON modern_notes FOR EACH STATEMENT EXECUTE FUNCTION linger()")
        process = start_notes_command("backfill", "--json")
        lingering = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        eventually(lambda: rows(lingering))
        process.kill()
        assert rows(lingering)
        code, said, error = backfill("pause")
        assert (code, said["status"]) == (0, "paused"), error
    finally:
        run("DROP FUNCTION linger() CASCADE")
    assert backfill("resume")[0] == 3
    assert_in_step()


def test_a_connection_cut_at_any_time_is_made_anew(writing: AnyMigration, start_notes_command: Start) -> None:
    """Cut again and again, also between a commit and its answer: the cursor in the database says what was committed."""
    fill(2_000)
    process = start_notes_command("backfill", "--batch-size", "20", "--json")
    cuts, deadline = 0, time.monotonic() + 60
    while process.poll() is None and cuts < 12 and time.monotonic() < deadline:
        before = len(schema.modern_rows())
        cuts += cut(process.pid)
        eventually(lambda: process.poll() is not None or len(schema.modern_rows()) != before)  # noqa: B023 - called now
    ended = end(process)
    assert ended["code"] == 3, ended
    assert cuts > 3
    assert ended["rows_read"] == 2_056
    assert_in_step()


def kill(pid: int) -> None:
    subprocess.run(["kill", "-9", str(pid)], check=True)


def cut(pid: int) -> int:
    """End the server processes that work for this process of ours; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(lease_backend)) FROM migration_ops_runrange"
            " WHERE number = 1 AND lease_owner LIKE %s AND lease_backend IS NOT NULL",
            [f"%:{pid}"],
        )
        return int(cursor.fetchone()[0])
