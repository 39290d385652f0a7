"""Runs the product's commands as an operator does: an exit code, and one JSON object."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from django.core.management import CommandError, call_command


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
