"""What a `manage.py …` needs in memory, measured in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from django.core.management import execute_from_command_line

from tests.database import database_url
from tests.notes.migration import register_alone

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Measured:
    """How a command ended.

    Attributes:
        said: its JSON object.
        base, peak: MB that the process held at most before the command began, and in all.
    """

    exit_code: int
    said: dict[str, Any]
    base: float
    peak: float

    @property
    def growth(self) -> float:
        """MB that the command itself needed."""
        return self.peak - self.base


def run_measured(*arguments: str, domain: str = "boards", **environment: str) -> Measured:
    """Run `manage.py … --json` on the database of the tests; the answer, and the memory it took.

    Args:
        domain: `boards`, or `notes` for the tiny one.
        environment: variables beside those of this process.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.peak_memory", domain, *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^peak memory (\d+) of (\d+) kB$", done.stderr, re.MULTILINE)
    assert found, done.stderr
    base, peak = (int(kilobytes) / 1024 for kilobytes in found.groups())
    return Measured(done.returncode, json.loads(done.stdout), base, peak)


def peak_kilobytes() -> int:
    """The most this process ever held. `getrusage` would count what its parent held before it began."""
    status = Path("/proc/self/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1])


def main(domain: str, *arguments: str) -> None:
    """Run the command in this process, and say at its end on stderr what it took."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    if domain == "notes":
        register_alone()
    base = peak_kilobytes()
    try:
        execute_from_command_line(["manage.py", *arguments])
    finally:
        sys.stderr.write(f"\npeak memory {base} of {peak_kilobytes()} kB\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
