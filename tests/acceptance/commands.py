"""Runs the product's commands as an operator does: an exit code, and one JSON object."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command

from tests.database import database_url

ROOT = Path(__file__).resolve().parents[2]

PATIENCE = 120
"""Seconds that a process may take at most."""


@dataclass(frozen=True)
class Result:
    exit_code: int
    data: dict[str, Any]
    errors: str

    def __getitem__(self, key: str) -> Any:
        return self.data[key]


def run(command: str, *arguments: str) -> Result:
    """`manage.py COMMAND ARGUMENTS --json`, in this process."""
    stdout, stderr = io.StringIO(), io.StringIO()
    try:
        call_command(command, *arguments, "--json", stdout=stdout, stderr=stderr)
        exit_code = 0
    except SystemExit as ended:
        exit_code = int(ended.code or 0)
    except CommandError as error:
        return Result(error.returncode, {}, str(error))
    lines = stdout.getvalue().splitlines()
    assert len(lines) == 1, f"one JSON object on one line, not {lines!r}; {stderr.getvalue()}"
    return Result(exit_code, json.loads(lines[0]), stderr.getvalue())


def start(command: str, *arguments: str, failpoint: str = "") -> subprocess.Popen[str]:
    """`manage.py COMMAND ARGUMENTS --json`, in a process of its own with the stores of this test.

    Args:
        failpoint: where it kills itself with SIGKILL; "" for nowhere.
    """
    return subprocess.Popen(
        [sys.executable, "manage.py", command, *arguments, "--json"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "LEGACY_BACKEND": settings.LEGACY_BACKEND,
            "LEGACY_JSON_PATH": settings.LEGACY_JSON_PATH,
            "VAR_DIR": str(settings.VAR_DIR),
            "MIGRATION_OPS_FAILPOINT": failpoint,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_apart(command: str, *arguments: str, failpoint: str = "") -> int:
    """As `start`, to its end; its exit code, negative for a signal."""
    with start(command, *arguments, failpoint=failpoint) as process:
        try:
            process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    return process.returncode
