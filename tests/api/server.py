"""The web server as it runs in production, as a process of its own on a free port of this machine."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.database import database_url

ROOT = Path(__file__).resolve().parents[2]
CSRF = "c" * 32
PATIENCE = 30.0
"""Seconds after which a test gives up."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[bytes] = field(repr=False)

    def send(self, method: str, path: str, session: str, content: Any = b"", **headers: str) -> Answer:
        """One request on a connection of its own, as a browser of this session makes it; headers with underscores.

        Raises:
            ConnectionError, http.client.HTTPException: the server went away before it answered.
        """
        said = {
            "Cookie": f"{settings.SESSION_COOKIE_NAME}={session}; csrftoken={CSRF}",
            "X-CSRFToken": CSRF,
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid.uuid4()),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, content, said)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


@contextmanager
def serving(*, workers: int = 2, threads: int = 8, **environment: str) -> Iterator[Server]:
    """gunicorn, until the block ends. It listens before it starts, so that nobody has to wait for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"fd://{listening.fileno()}"),
                *("--workers", str(workers), "--threads", str(threads), "--no-control-socket"),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": database_url(),
                "SECRET_KEY": settings.SECRET_KEY,
                "LEGACY_BACKEND": settings.LEGACY_BACKEND,
                "LEGACY_JSON_PATH": settings.LEGACY_JSON_PATH,
                "VAR_DIR": str(settings.VAR_DIR),
                "WRITES_PER_MINUTE": "0",
                "READS_PER_MINUTE": "0",
                "LOG_LEVEL": "error",
                **environment,
            },
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
        )
        try:
            yield Server(listening.getsockname()[1], process)
        finally:
            process.terminate()
            process.wait(PATIENCE)
