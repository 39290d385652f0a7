"""A house of its own for each test: an empty directory for everything the installation keeps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.embedded.postgres_server import PostgresServer
from config.embedded.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120


@dataclass(frozen=True)
class House:
    """An installation with nothing in it and nothing set."""

    var: Path

    @property
    def postgres(self) -> PostgresServer:
        return PostgresServer(self.var / "postgresql")

    @property
    def redis(self) -> RedisServer:
        return RedisServer(self.var / "redis")

    def environment(self, **variables: str) -> dict[str, str]:
        """Everything a process of this house gets to see."""
        unset = {
            line.partition("=")[0]: ""
            for line in (ROOT / ".env.example").read_text().splitlines()
            if line[:1].isupper()
        }
        return {
            **unset,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "VAR_DIR": str(self.var),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            **variables,
        }

    def python(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run this code in a process of its own."""
        return self._run([sys.executable, "-c", code], variables)

    def manage(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`manage.py` with these arguments."""
        return self._run([sys.executable, "manage.py", *arguments], variables)

    def setting(self, name: str, **variables: str) -> Any:
        """The value of a setting under these variables."""
        code = f"import json; from config import settings; print(json.dumps(settings.{name}))"
        done = self.python(code, **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _run(self, command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )


def _house() -> Iterator[House]:
    home = Path(tempfile.mkdtemp(prefix="house-"))  # 0700, and short enough for a socket
    house = House(home / "var")
    try:
        yield house
    finally:
        if house.postgres.home.exists():
            house.postgres.stop()
        if house.redis.home.exists():
            house.redis.stop()
        shutil.rmtree(home)


@pytest.fixture
def house() -> Iterator[House]:
    """Nothing in it."""
    yield from _house()


@pytest.fixture(scope="module")
def settled_house() -> Iterator[House]:
    """With a PostgreSQL that runs; shared by the tests of a module, each of which leaves it running."""
    for house in _house():
        house.postgres.ensure()
        yield house
