"""Which processes serve families, whether each of them writes to both stores, and when nobody may go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db.models.functions import Now
from django.test import Client

import migration_ops
from config.embedded.servers import redis as embedded_redis
from migration_ops import stages
from migration_ops.definition import AnyMigration
from migration_ops.gates import Verdict
from migration_ops.models import Heartbeat
from migration_ops.observe import heartbeat, processes, retention
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.reporting import Reporting
from migration_ops.sync.version import digest, sync_version
from tests.api.server import serving
from tests.database import database_url
from tests.engine.korean import found
from tests.engine.syncing import rows, second_connection
from tests.engine.waiting import InThread, eventually

ROOT = Path(__file__).resolve().parents[2]


def heard_of(role: Role) -> list[Heartbeat]:
    return list(Heartbeat.objects.filter(role=role.value).order_by("process"))


def another(migration: AnyMigration, name: str = "elsewhere:7", **detail: Any) -> Heartbeat:
    """A web process on another machine."""
    said = {"sync": sync_version(), "dual_write": True, **detail}
    return Heartbeat.objects.create(migration=migration.name, role="web", process=name, at=Now(), detail=said)


def test_the_gate_is_asked_for_from_shadow_on() -> None:
    asking = [(step.source, step.target) for step in stages.TRANSITIONS if "processes" in step.gates]
    assert asking == list(zip(stages.ORDER[1:5], stages.ORDER[2:6], strict=True))
    assert "processes" in stages.FIRST_EXPOSURE
    assert "processes" in stages.FURTHER_EXPOSURE


def test_where_nobody_serves_nobody_is_in_the_way(notes: AnyMigration) -> None:
    gate = found(notes, "processes")
    assert (gate.verdict, gate.n) == (Verdict.PASS, 0)
    assert gate.message == "No web or worker process was heard of in the last 15 s."


def test_all_of_them_write_to_both_stores(notes: AnyMigration) -> None:
    processes.say_alive(notes, Role.WEB)
    another(notes)
    gate = found(notes, "processes")
    assert (gate.verdict, gate.n, gate.k) == (Verdict.PASS, 2, 0)


def test_one_whose_second_write_is_switched_off_is_named(notes: AnyMigration, settings: Any) -> None:
    another(notes)
    settings.DUAL_WRITE = False
    processes.say_alive(notes, Role.WORKER)
    gate = found(notes, "processes", quoting=heartbeat.process_name())
    assert (gate.verdict, gate.n, gate.k) == (Verdict.FAIL, 2, 1)
    assert gate.message.startswith(
        f"Not writing to both stores, because `DUAL_WRITE` keeps them from it: {heartbeat.process_name()}."
    )
    assert "elsewhere" not in gate.message
    settings.DUAL_WRITE = None
    processes.say_alive(notes, Role.WORKER)
    assert found(notes, "processes").verdict is Verdict.PASS


def test_one_that_runs_other_sync_code_is_named(notes: AnyMigration) -> None:
    processes.say_alive(notes, Role.WEB)
    another(notes, sync="0" * 12)
    gate = found(notes, "processes", quoting="elsewhere:7")
    assert (gate.verdict, gate.k) == (Verdict.FAIL, 1)
    assert gate.message == (
        "Running another version of the sync code: elsewhere:7. Restart them. A process that was stopped counts for"
        " 15 s more."
    )


def test_a_process_that_says_nothing_of_itself_does_not_pass(notes: AnyMigration) -> None:
    Heartbeat.objects.create(migration=notes.name, role="web", process="old:1", at=Now(), detail={})
    assert found(notes, "processes", quoting="old:1").verdict is Verdict.FAIL


def test_of_many_only_the_first_are_named(notes: AnyMigration) -> None:
    names = [f"host{number}:1" for number in range(7)]
    for name in names:
        another(notes, name, dual_write=False)
    message = found(notes, "processes", quoting=", ".join(names[:5])).message
    assert f"{', '.join(names[:5])} and 2 more." in message


def test_the_dead_fall_out_by_age_and_are_purged(notes: AnyMigration) -> None:
    another(notes, dual_write=False)
    heartbeat.beat(notes, Role.EVALUATOR)
    Heartbeat.objects.update(at=Now() - timedelta(seconds=16))
    assert found(notes, "processes").verdict is Verdict.PASS
    retention.purge()
    assert sorted(each.role for each in Heartbeat.objects.all()) == ["evaluator", "web"]
    Heartbeat.objects.update(at=Now() - processes.KEPT - timedelta(seconds=1))
    retention.purge()
    assert [each.role for each in Heartbeat.objects.all()] == ["evaluator"], "who watches is kept: its age is shown"


def test_a_web_process_that_never_served_a_request_is_known_and_says_goodbye(db: None, transactional_db: None) -> None:
    with serving(workers=2, DUAL_WRITE="false"):
        eventually(lambda: len(heard_of(Role.WEB)) == 2)
        assert {each.migration for each in heard_of(Role.WEB)} == {"boards"}
        assert {(each.detail["sync"], each.detail["dual_write"]) for each in heard_of(Role.WEB)} == {
            (sync_version(), False)
        }
    assert heard_of(Role.WEB) == []


def test_one_that_is_killed_says_nothing_any_more_and_stays_until_it_is_old(transactional_db: None) -> None:
    with serving(workers=1) as server:
        eventually(lambda: len(heard_of(Role.WEB)) == 1)
        worker = int(heard_of(Role.WEB)[0].process.rpartition(":")[2])
        assert worker != server.process.pid
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: len(heard_of(Role.WEB)) == 2)  # gunicorn began another one


@contextmanager
def a_worker() -> Iterator[subprocess.Popen[bytes]]:
    server = embedded_redis()
    was_there = server.pid() is not None
    server.ensure()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "rqworker", "default"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url(), "VAR_DIR": str(django_settings.VAR_DIR), "REDIS_URL": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)
        if not was_there:
            server.stop()


def test_a_worker_that_never_had_a_job_is_known_and_says_goodbye(transactional_db: None) -> None:
    with a_worker() as process:
        eventually(lambda: [each.process.rpartition(":")[2] for each in heard_of(Role.WORKER)] == [str(process.pid)])
        assert heard_of(Role.WORKER)[0].detail["dual_write"] is True
    assert heard_of(Role.WORKER) == []


def test_no_request_waits_for_a_heartbeat_that_cannot_be_written(notes: AnyMigration) -> None:
    reporting = Reporting(Role.WEB)
    with second_connection() as other:
        other.execute("LOCK TABLE migration_ops_heartbeat IN ACCESS EXCLUSIVE MODE")
        reporting.begin()
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%_heartbeat%'"
        eventually(lambda: rows(blocked) == [(1,)])
        answer = InThread(lambda: Client().get("/accounts/login/").status_code)
        assert answer.outcome() == 200
        other.rollback()
    eventually(lambda: len(heard_of(Role.WEB)) == 1)
    reporting.end()
    assert heard_of(Role.WEB) == []


def test_whatever_goes_wrong_while_a_process_reports_it_reports_again(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that serves and is not heard of would pass for none."""
    tried = threading.Event()

    def stumble(*_: Any) -> None:
        tried.set()
        raise FileNotFoundError("a module that is a package now")

    reporting = Reporting(Role.WEB)
    with monkeypatch.context() as broken:
        broken.setattr(processes, "say_alive", stumble)
        reporting.begin()
        assert tried.wait(timeout=10)
    eventually(lambda: len(heard_of(Role.WEB)) == 1)
    reporting.end()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The engine's source, on another machine as it were."""
    return Path(shutil.copytree(Path(str(migration_ops.__file__)).parent, tmp_path / "migration_ops"))


def test_the_version_is_the_same_wherever_the_same_code_runs(copied: Path) -> None:
    (copied / "sync" / "capture.cpython-311.pyc").write_bytes(b"compiled")
    (copied / "admin.py").write_text("# nothing to do with writes\n")
    assert digest(copied) == sync_version()


@pytest.mark.parametrize(
    "file", ["guards/flag.py", "sync/capture.py", "sync/dual_write.py", "rollout/routing.py", "stages.py"]
)
def test_the_version_is_another_one_as_soon_as_the_protocol_may_be(copied: Path, file: str) -> None:
    with (copied / file).open("a") as source:
        source.write("\nNEXT = True\n")
    assert digest(copied) != sync_version()
