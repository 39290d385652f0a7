"""What every command for operators has in common: options, exit codes, one JSON object, clean interruption."""

from __future__ import annotations

import getpass
import io
import json
import os
import signal
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, OperationalError, ProgrammingError
from rich.console import Console, RenderableType
from rich.text import Text

from migration_ops import registry
from migration_ops.backfill.stop import Stop
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, MigrationOpsError, first_line
from migration_ops.management.visible import Visible, VisibleOutput, visible
from migration_ops.observe import metrics

_PIPED = 80
"""Columns where nobody says how many there are."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: stop at the next safe place, exactly as for Ctrl-C."""


def ended_by(stop: Stop) -> KeyboardInterrupt:
    """What to raise when everything in hand is done, so that the exit code says by which signal it ended."""
    return Terminated() if stop.signal == signal.SIGTERM else KeyboardInterrupt()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has to say.

    Attributes:
        data: the JSON object of `--json`.
        text: the same for people, one or several things rich can render; a string is shown as it is.
        exit_code: how the process ends.
    """

    data: Mapping[str, Any]
    text: tuple[RenderableType, ...] = ()
    exit_code: ExitCode = ExitCode.DONE


@dataclass(slots=True)
class Partial:
    """What is known already when something goes wrong; `--json` prints it beside the error."""

    data: dict[str, Any] = field(default_factory=dict)


class OperatorCommand(BaseCommand):
    """A thin edge: parse, call one service, present.

    Subclasses implement `configure` and `run`. Errors of the engine become a sentence on stderr and their exit code;
    anything else is a defect and keeps its traceback. Ends the process with `SystemExit` unless the exit code is 0.
    Whatever `--json` prints of a dry run, a refusal too, says `dry_run: true`.
    """

    writes_history = False
    has_dry_run = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("allow_abbrev", False)
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if "--json" in sys.argv:
            explain = parser.error

            def error(message: str) -> None:
                self.stdout.write(json.dumps({"error": message}, ensure_ascii=False))
                explain(message)

            parser.error = error  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print exactly one JSON object on stdout")
        parser.add_argument("--migration", metavar="NAME", help="which migration, where there are several")
        if self.writes_history:
            parser.add_argument("--actor", default=_system_user(), metavar="NAME", help="who does this (default: you)")
            parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the history")
        if self.has_dry_run:
            parser.add_argument("--dry-run", action="store_true", help="say what would happen, write nothing")
        self.configure(parser)

    def configure(self, parser: CommandParser) -> None:
        """Add the command's own options."""

    @abstractmethod
    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        """Do it. Fill `partial` with what is known early, so that a failure still reports it."""

    def migration(self, options: Mapping[str, Any]) -> AnyMigration:
        """The migration the operator means.

        Raises:
            UnknownMigration: there is none of that name.
        """
        return registry.get(options.get("migration"))

    def handle(self, *args: Any, **options: Any) -> None:
        partial = Partial()
        self.stderr = VisibleOutput(cast(TextIO, self.stderr))
        try:
            with _terminable():
                outcome = self.run(options, partial)
        except Terminated:
            outcome = self._failed("Terminated; run the same command again to go on.", ExitCode.TERMINATED, partial)
        except KeyboardInterrupt:
            outcome = self._failed("Interrupted; run the same command again to go on.", ExitCode.INTERRUPTED, partial)
        except MigrationOpsError as error:
            outcome = self._failed(str(error), error.exit_code, partial)
        except DatabaseError as error:
            outcome = self._failed(_database_sentence(error), ExitCode.FAILED, partial)
        metrics.flush()
        if options["json"]:
            rehearsed = {"dry_run": True} if options.get("dry_run") else {}
            self.stdout.write(json.dumps({**outcome.data, **rehearsed}, ensure_ascii=False, default=str))
        elif outcome.text:
            self.stdout.write(self._rendered(outcome.text), ending="")
        self.stdout.flush()
        if outcome.exit_code is not ExitCode.DONE:
            sys.exit(int(outcome.exit_code))

    def _failed(self, message: str, exit_code: ExitCode, partial: Partial) -> Outcome:
        self.stderr.write(message)
        return Outcome({**partial.data, "error": message}, exit_code=exit_code)

    def _rendered(self, parts: tuple[RenderableType, ...]) -> str:
        on_terminal = self.stdout.isatty()
        buffer = io.StringIO()
        console = Console(file=buffer, force_terminal=on_terminal, highlight=False, markup=False)
        if not on_terminal and "COLUMNS" not in os.environ:
            console.width = _PIPED
        for part in parts:
            # A sentence in a pipe stays one line, so that it can be searched for.
            one_line = not on_terminal and isinstance(part, str | Text)
            console.print(visible(part) if isinstance(part, str) else Visible(part), soft_wrap=one_line)
        return buffer.getvalue()


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _database_sentence(error: DatabaseError) -> str:
    why = first_line(error)
    if isinstance(error, ProgrammingError) and "does not exist" in why:
        return f"The database is not what this version expects ({why}). Run `manage.py migrate` first."
    if isinstance(error, OperationalError):
        return f"The database did not do it ({why}). Nothing was left half done; try again."
    return f"The database refused ({why})."


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into `Terminated` for as long as this lasts; only the main thread can."""

    def terminate(signum: int, frame: FrameType | None) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
