"""The background as it runs in production: a Redis, workers of the queue and schedulers, each a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis
from rq.job import Job
from rq.serializers import JSONSerializer

from config.embedded import place
from config.embedded.redis_server import RedisServer
from tests.database import database_url
from tests.engine.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]

PATIENCE = 240.0
"""Seconds that anything may take at most, on a machine that does much else; what is waited for comes within a few."""


class Background:
    """A Redis of its own, and processes that work with it on the tiny domain.

    Args:
        database: the address of their database; by default that of the tests.
    """

    def __init__(self, database: str | None = None) -> None:
        self.database = database or database_url()
        self.home = Path(tempfile.mkdtemp(prefix="queue-"))  # short enough for a socket
        self.redis = RedisServer(self.home / "redis")
        self.redis.ensure()
        self.url = place.socket_url(self.home / "redis", "redis.sock")
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, failpoint: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """`manage.py ARGUMENTS` with the tiny domain and short times; what it says is in `self.log`."""
        return self.run("-m", "tests.notes.manage", *arguments, failpoint=failpoint, **environment)

    def run(self, *arguments: str, failpoint: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """`python ARGUMENTS` in the same way."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DATABASE_URL": self.database,
                    "REDIS_URL": self.url,
                    "DJANGO_SETTINGS_MODULE": "tests.engine.quick_settings",
                    "MIGRATION_OPS_FAILPOINT": failpoint,
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    def worker(self, failpoint: str = "", *, slice_seconds: float = 1) -> subprocess.Popen[bytes]:
        return self.start("rqworker", "default", failpoint=failpoint, SLICE_SECONDS=str(slice_seconds))

    def scheduler(self) -> subprocess.Popen[bytes]:
        return self.start("scheduler")

    @property
    def log(self) -> Path:
        return self.home / "log"

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.redis.socket))

    def jobs(self) -> list[Job]:
        """Those that wait for a worker."""
        connection = self.client()
        names = [name.decode() for name in connection.lrange("rq:queue:default", 0, -1)]
        return Job.fetch_many(names, connection=connection, serializer=JSONSerializer)

    def eventually(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Ask again and again until the answer is yes; that answer. Otherwise fail, with what the processes said."""
        return eventually(condition, seconds=seconds, evidence=lambda: f"The processes said:\n{self.said()[-6000:]}")

    def horses(self, worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """What this worker has forked for its job."""
        try:
            return psutil.Process(worker.pid).children()
        except psutil.NoSuchProcess:
            return []

    def end(self) -> None:
        """Kill everything, orphans included, and remove what it left."""
        for process in self._running:
            process.kill()
            process.wait()
        for each in psutil.process_iter(["environ"]):
            if (each.info["environ"] or {}).get("REDIS_URL") == self.url:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        self.redis.stop()
        shutil.rmtree(self.home, ignore_errors=True)  # what was killed a moment ago may still write its log
