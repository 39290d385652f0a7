"""Programs that outlive us: started in a session of their own, without our pipes, terminal or environment."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import psutil

from config.embedded.account import Account
from config.embedded.exceptions import EmbeddedServerError

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
"""All that a server gets to see of ours: PGPORT, PGDATA and the like of the caller must not change it."""

PAUSE = 0.02
"""Seconds between two looks at a server that starts or ends."""

LOG_LIMIT = 10 * 1024 * 1024
"""Bytes after which a server's log is put aside when it is started again."""


def run_as(
    account: Account | None, command: Sequence[str | Path], **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as this account, in a clean environment, and return what it printed."""
    identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [os.fspath(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        umask=0o077,
        env=ENVIRONMENT,
        **identity,
        **options,
    )


def launch(account: Account | None, command: Sequence[str | Path], log: Path) -> int:
    """Start a program that lives on after us, and return its pid. What it prints goes to `log`.

    The shell in between ends at once, so that the program is nobody's child and leaves no zombie behind.
    """
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".old"))
    script = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'
    started = run_as(account, ["/bin/sh", "-c", script, "launch", log, *command], start_new_session=True)
    try:
        return int(started.stdout)
    except ValueError:
        raise EmbeddedServerError(f"{command[0]} could not be started: {started.stderr.strip()}") from None


def alive(pid: int) -> bool:
    """Whether this process exists and has not ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def ended(pid: int, within: timedelta) -> bool:
    """Wait for the end of a process; False if it is still alive after that time. Nobody need have reaped it."""
    deadline = time.monotonic() + within.total_seconds()
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def works_in(pid: int, directory: Path) -> bool:
    """Whether this process runs and works in `directory`: a pid in a file says nothing after a reboot."""
    try:
        return Path(psutil.Process(pid).cwd()) == directory
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def processes_in(directory: Path) -> list[int]:
    """The pids of every process that works in `directory`."""
    return [pid for pid in psutil.pids() if works_in(pid, directory)]


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
