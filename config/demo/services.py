"""The long-running processes of the product, kept running until they are told to end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from config.demo.console import line
from config.demo.steps import ROOT
from config.embedded.daemon import tail

TOO_OFTEN = 5
WINDOW = 60.0
"""A service that ends `TOO_OFTEN` times within so many seconds is not started again."""

PATIENCE = 15.0
"""Seconds a service gets to end after SIGTERM."""

LOOK = 0.2
"""Seconds between two looks."""


class ServiceFailed(Exception):
    """A service keeps ending."""


@dataclass
class Service:
    """One process in a session of its own, so that Ctrl-C reaches it through us only."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ends: deque[float] = field(default_factory=deque)

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def keep_running(self) -> None:
        """Start it again if it ended.

        Raises:
            ServiceFailed: it ended too often.
        """
        if self.process is not None and self.process.poll() is None:
            return
        now = time.monotonic()
        self.ends.append(now)
        while now - self.ends[0] > WINDOW:
            self.ends.popleft()
        if len(self.ends) >= TOO_OFTEN:
            raise ServiceFailed(f"The {self.name} keeps ending. Its log, {self.log}, ends with:\n{tail(self.log)}")
        line(f"The {self.name} ended; it is started again (log: {self.log})")
        self.start()

    def ask_to_end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def end(self) -> None:
        """Wait until it has ended; what is left of its session after `PATIENCE` is killed."""
        if self.process is None:
            return
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def services(port: int, logs: Path) -> list[Service]:
    """Web, worker, scheduler, applier, evaluator."""
    manage = [sys.executable, str(ROOT / "manage.py")]
    web = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    return [
        Service("web server", [*web, "--workers", "2", "--threads", "4"], logs / "web.log"),
        Service("worker", [*manage, "rqworker", "default"], logs / "worker.log"),
        Service("scheduler", [*manage, "scheduler"], logs / "scheduler.log"),
        Service("applier", [*manage, "sync_changes", "--follow"], logs / "applier.log"),
        Service("evaluator", [*manage, "rollout", "evaluate", "--follow"], logs / "evaluator.log"),
    ]


def is_free(port: int) -> bool:
    """Whether nobody listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Whether somebody listens on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end_all(running: list[Service]) -> None:
    """End every service: all are asked at once, then awaited one by one."""
    for service in running:
        service.ask_to_end()
    for service in running:
        service.end()
