"""Commands of the product that run for long, each in a process of its own."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

from django.core.management import call_command

from tests.killed import Child


class Processes:
    """Commands of the product, each in a process of its own, which are killed and started again.

    Attributes:
        said: what those said that ended by themselves, by command.
    """

    def __init__(self, folder: Path) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self._folder = folder
        self._running: list[tuple[tuple[str, ...], Child]] = []

    def start(self, *arguments: str) -> None:
        self._running.append((arguments, Child(lambda: self._command(*arguments))))

    def kill(self, command: str, chance: random.Random) -> bool:
        """Kill one that runs this command, and start it anew; whether there was one."""
        alive = [each for each in self._running if each[0][0] == command and each[1].is_running]
        if not alive:
            return False
        arguments, victim = chance.choice(alive)
        victim.send(signal.SIGKILL)
        assert victim.outcome() == -signal.SIGKILL
        self._running.remove((arguments, victim))
        self.start(*arguments)
        return True

    def wait_for(self, command: str) -> None:
        """Return when all that run this command have ended by themselves."""
        for each in [each for each in self._running if each[0][0] == command]:
            assert each[1].outcome() == 0, each[0]
            self._running.remove(each)

    def end(self) -> None:
        """Ask all that still run to end, as an operator does, and wait until they did."""
        for _, child in self._running:
            child.send(signal.SIGTERM)
        for arguments, child in self._running:
            assert child.outcome() in (0, 128 + signal.SIGTERM), arguments
        self._running.clear()
        for file in self._folder.glob("*.said"):
            if text := file.read_text(encoding="utf-8"):  # nothing was said by those that were killed
                self.said.append((file.name.partition(".")[0], json.loads(text)))

    def kill_all(self) -> None:
        for _, child in self._running:
            child.send(signal.SIGKILL)
            child.outcome()

    def _command(self, *arguments: str) -> None:
        with (self._folder / f"{arguments[0]}.{os.getpid()}.said").open("w", encoding="utf-8") as out:
            call_command(*arguments, "--json", stdout=out)
