"""Commands of the product that run for long, each in a process of its own."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from typing import Any

from tests.acceptance.commands import PATIENCE, start

ENDED = (0, 128 + signal.SIGTERM, -signal.SIGTERM)
"""By itself, or asked to; the last one had not yet begun."""


class Processes:
    """Commands of the product, each in a process of its own, which are killed and started again.

    Attributes:
        said: what those said that ended by themselves or were asked to, by command.
    """

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self._running: list[tuple[tuple[str, ...], subprocess.Popen[str]]] = []

    def start(self, *arguments: str) -> None:
        self._running.append((arguments, start(*arguments)))

    def kill(self, command: str, chance: random.Random) -> bool:
        """Kill one that runs this command, and start it anew; whether there was one."""
        alive = [each for each in self._running if each[0][0] == command and each[1].poll() is None]
        if not alive:
            return False
        arguments, victim = chance.choice(alive)
        victim.kill()
        victim.communicate(timeout=PATIENCE)
        assert victim.returncode == -signal.SIGKILL
        self._running.remove((arguments, victim))
        self.start(*arguments)
        return True

    def wait_for(self, command: str) -> None:
        """Return when all that run this command have ended by themselves."""
        for each in [each for each in self._running if each[0][0] == command]:
            assert self._ended(*each) == 0, each[0]
            self._running.remove(each)

    def end(self) -> None:
        """Ask all that still run to end, as an operator does, and wait until they did."""
        for _, process in self._running:
            process.terminate()
        for each in self._running:
            self._ended(*each)
        self._running.clear()

    def kill_all(self) -> None:
        for _, process in self._running:
            process.kill()
            process.communicate(timeout=PATIENCE)

    def _ended(self, arguments: tuple[str, ...], process: subprocess.Popen[str]) -> int:
        out, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode in ENDED, (arguments, out, errors)
        if out:
            self.said.append((arguments[0], json.loads(out)))
        return process.returncode
