"""One step of the demo: a command of the product, run as an operator would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30
"""Seconds that an interrupted command gets to end cleanly."""


class StepFailed(Exception):
    """A command ended with an exit code that this step does not expect."""

    def __init__(self, command: str, exit_code: int, reason: str = "") -> None:
        self.exit_code = exit_code if exit_code > 0 else 128 - exit_code
        super().__init__(
            f"`manage.py {command}` ended with exit code {self.exit_code}{f': {reason}' if reason else '.'}"
        )


def manage(*arguments: str, expected: Collection[int] = (0,)) -> tuple[int, str]:
    """Run `manage.py` with these arguments; its exit code and stdout. Its stderr, progress bars included, is ours.

    Raises:
        StepFailed: it ended with another exit code than those expected.
    """
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        output, _ = process.communicate()
    except BaseException:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    if process.returncode not in expected:
        raise StepFailed(" ".join(arguments), process.returncode, _reason(output))
    return process.returncode, output


def manage_json(*arguments: str, expected: Collection[int] = (0,)) -> tuple[int, dict[str, Any]]:
    """As `manage`, with the object that `--json` prints."""
    exit_code, output = manage(*arguments, "--json", expected=expected)
    try:
        return exit_code, dict(json.loads(output))
    except ValueError:
        raise StepFailed(" ".join(arguments), 1, "it printed no JSON object") from None


def _reason(output: str) -> str:
    try:
        return str(json.loads(output)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
