"""The embedded PostgreSQL: one for all processes, back after every kind of death, and nobody's superuser."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from config.embedded.account import server_account
from config.embedded.daemon import alive, ended, launch
from config.embedded.exceptions import EmbeddedServerError
from config.embedded.place import LONGEST_SOCKET_PATH, exclusive
from config.embedded.postgres_server import PostgresServer
from tests.house.conftest import PATIENCE, ROOT, House

START = """
import sys
from pathlib import Path
from config.embedded.postgres_server import PostgresServer
server = PostgresServer(Path(sys.argv[1]))
print("ready", flush=True)
print(server.ensure(), server.pid(), flush=True)
"""

QUERY = """
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT current_user")
    print(cursor.fetchone()[0])
"""


def connect(server: PostgresServer, user: str = "app", database: str = "app") -> psycopg.Connection:
    return psycopg.connect(host=str(server.sockets), port=5432, user=user, dbname=database, autocommit=True)


def kill(server: PostgresServer) -> int:
    """kill -9 of the server process, as the kernel does it when memory runs out."""
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert ended(pid, timedelta(seconds=PATIENCE))
    return pid


def test_two_processes_that_start_it_at_the_same_moment_share_one_server(house: House) -> None:
    command = [sys.executable, "-c", START, str(house.postgres.home)]
    with exclusive(house.postgres.lock):
        starters = [
            subprocess.Popen(command, cwd=ROOT, env=house.environment(), stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for starter in starters:
            assert starter.stdout
            assert starter.stdout.readline() == "ready\n"
    said = [starter.communicate(timeout=PATIENCE)[0].split() for starter in starters]

    assert sorted(started for started, _ in said) == ["False", "True"]
    assert {int(pid) for _, pid in said} == {house.postgres.pid()}


def test_the_first_connection_starts_it_and_the_starter_ends_while_it_runs_on(house: House) -> None:
    done = house.python(QUERY)  # returns only when nobody holds the pipe of its output any more

    assert done.stdout == "app\n", done.stderr
    pid = house.postgres.pid()
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0), "a Ctrl-C in this terminal would reach it"


def test_the_role_of_the_app_is_no_superuser_and_may_make_the_test_database(settled_house: House) -> None:
    with connect(settled_house.postgres) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        owner = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchone()

    assert row == (False, False, False, True)
    assert owner == ("app",)


def test_what_was_committed_is_safe_and_nothing_listens_on_the_network(settled_house: House) -> None:
    with connect(settled_house.postgres) as connection:
        settings = dict(
            connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)",
                [["fsync", "full_page_writes", "synchronous_commit", "listen_addresses", "max_connections"]],
            ).fetchall()
        )

    assert settings.pop("max_connections") >= "100"
    assert settings == {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "listen_addresses": ""}


def test_nobody_else_on_the_machine_can_reach_the_socket_or_the_data(settled_house: House) -> None:
    server = settled_house.postgres

    assert stat.S_IMODE(server.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.sockets / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_after_kill_9_the_next_connection_starts_it_again_with_all_that_was_committed(settled_house: House) -> None:
    with connect(settled_house.postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS kept")
    killed = kill(settled_house.postgres)

    done = settled_house.python(QUERY.replace("current_user", "kept FROM kept"))

    assert done.stdout == "1\n", done.stderr
    assert settled_house.postgres.pid() != killed


def test_after_kill_9_a_backend_that_is_too_busy_to_notice_does_not_block_the_start(settled_house: House) -> None:
    with connect(settled_house.postgres) as connection:
        backend = connection.info.backend_pid
        asked = threading.Event()

        def endless() -> None:
            asked.set()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("DO $$ BEGIN LOOP END LOOP; END $$")

        busy = threading.Thread(target=endless)
        busy.start()
        asked.wait(PATIENCE)
        while not _is_busy(settled_house.postgres, backend):
            pass
        kill(settled_house.postgres)
        assert alive(backend)

        assert settled_house.postgres.ensure()
        busy.join(PATIENCE)

    assert not alive(backend)


def _is_busy(server: PostgresServer, backend: int) -> bool:
    with connect(server, user="postgres") as other:
        query = "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
        return other.execute(query, [backend]).fetchone() is not None


@pytest.mark.parametrize("content", ["", "4", "\n\n"], ids=["empty", "half a pid", "only line ends"])
def test_a_half_written_pid_file_does_not_block_the_start(settled_house: House, content: str) -> None:
    server = settled_house.postgres
    server.stop()
    (server.data / "postmaster.pid").write_text(content)

    assert server.ensure()


def test_a_pid_that_is_another_process_by_now_does_not_block_the_start(settled_house: House) -> None:
    server = settled_house.postgres
    files = [server.data / "postmaster.pid", server.sockets / ".s.PGSQL.5432.lock"]
    before = {file: file.read_text() for file in files}
    server.stop()
    stranger = launch(server_account(server.home), ["/bin/sleep", "600"], server.log)
    try:
        for file, content in before.items():
            file.write_text(re.sub(r"^\d+", str(stranger), content))

        assert server.pid() is None
        assert server.ensure()
        assert alive(stranger), "a stranger was ended"
    finally:
        os.kill(stranger, signal.SIGKILL)


def test_a_cluster_that_was_made_only_half_is_made_again(house: House) -> None:
    server = house.postgres
    account = server_account(server.home)
    server.home.mkdir(parents=True)
    unfinished = server.home / "data.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    if account:
        for path in (server.home, unfinished, unfinished / "PG_VERSION"):
            os.chown(path, *account.ids)

    assert server.ensure()
    assert not unfinished.exists()


def test_a_path_that_is_too_long_or_has_odd_characters_gets_a_socket_elsewhere(house: House) -> None:
    server = PostgresServer(house.var / ("a, very long 'path' \"of\" $HOME `and` more " * 3) / "postgresql")
    try:
        assert server.ensure()
        with connect(server) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert len(str(server.sockets / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    finally:
        server.stop()
        (server.sockets).rmdir()


def test_a_short_socket_directory_that_somebody_else_made_is_refused(house: House) -> None:
    server = PostgresServer(house.var / ("x" * LONGEST_SOCKET_PATH) / "postgresql")
    server.sockets.symlink_to(house.var)
    try:
        with pytest.raises(EmbeddedServerError, match="belongs to another account"):
            server.ensure()
    finally:
        server.sockets.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server under another account")
def test_a_private_directory_above_becomes_passable_but_not_readable(house: House) -> None:
    private = house.var.parent
    assert stat.S_IMODE(private.stat().st_mode) == 0o700

    house.postgres.ensure()

    assert stat.S_IMODE(private.stat().st_mode) == 0o701


def test_data_of_another_major_version_is_left_alone(settled_house: House) -> None:
    server = settled_house.postgres
    server.stop()
    version = server.data / "PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(EmbeddedServerError, match=r"was made by PostgreSQL 17, and this is 18\."):
            server.ensure()
    finally:
        version.write_text("18\n")
    assert server.ensure()


def test_a_start_that_fails_says_what_the_server_said(settled_house: House) -> None:
    server = settled_house.postgres
    server.stop()
    configuration = server.data / "postgresql.conf"
    sound = configuration.read_text()
    configuration.write_text(sound + "\nnonsense = 1\n")
    try:
        with pytest.raises(EmbeddedServerError, match='unrecognized configuration parameter "nonsense"'):
            server.ensure()
    finally:
        configuration.write_text(sound)
    assert server.ensure()


def test_stop_ends_it_and_says_whether_there_was_anything_to_end(settled_house: House) -> None:
    server = settled_house.postgres
    pid = server.pid()
    assert pid is not None

    assert server.stop() is True
    assert not alive(pid)
    assert server.stop() is False
    assert server.ensure()


def test_a_lock_file_that_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file where the directory should be")

    with pytest.raises(EmbeddedServerError, match="Run as the account that owns"):
        PostgresServer(taken / "postgresql").ensure()
