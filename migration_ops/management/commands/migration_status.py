from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError, connection
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from migration_ops import conf, overview
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, UnusableInput, first_line
from migration_ops.gates.wording import duration
from migration_ops.management.base import OperatorCommand, Outcome, Partial, Terminated
from migration_ops.management.presentation import gate_rows, history_rows, some, stage_sentences, when
from migration_ops.management.visible import Visible


class Command(OperatorCommand):
    """One overview of everything; `--watch` shows it anew every two seconds until Ctrl-C."""

    help = "Show where a migration stands: stage, gates, runs, what waits, what differs, what happened."

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", action="store_true", help="look again every two seconds, until Ctrl-C")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        if not options["watch"]:
            shown = overview.everything(migration)
            return Outcome(shown, _rendered(shown))
        if options["json"] or not sys.stdout.isatty():
            raise UnusableInput("--watch draws on a terminal; leave it out for a file, a pipe or --json.")
        return _watched(migration)


def _watched(migration: AnyMigration) -> Outcome:
    """Until Ctrl-C, which is how one leaves; a database that goes away is shown and looked for again."""
    try:
        with Live(console=Console(markup=False), auto_refresh=False, screen=True) as live:
            while True:
                live.update(_look(migration), refresh=True)
                time.sleep(conf.settings().watch_interval.total_seconds())
    except Terminated:
        raise
    except KeyboardInterrupt:
        return Outcome({}, exit_code=ExitCode.INTERRUPTED)


def _look(migration: AnyMigration) -> RenderableType:
    try:
        return Visible(Group(*_rendered(overview.everything(migration))))
    except DatabaseError as error:
        connection.close()
        return Visible(Text.assemble(("The database does not answer:", "red"), f" {first_line(error)}"))


def _rendered(shown: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for kind, run in shown["runs"].items():
        facts.add_row(f"last {kind}", _run_sentence(run))
    dirty, quarantine = shown["dirty"], shown["quarantine"]
    oldest = duration(dirty["oldest_seconds"])
    waiting = f"{some(dirty['count'], 'change')}, the oldest for {oldest}, {dirty['failing']:,} failing"
    facts.add_row("waits to be applied", waiting if dirty["count"] else "nothing")
    facts.add_row("in quarantine", _quarantine(quarantine))
    facts.add_row("legacy rows that are in modern", f"{shown['lineage_rows']:,}")
    facts.add_row("differences not mended", f"{shown['differences_open']:,}")
    gates = (gate_rows(shown["gates"], step=shown["next_step"]),) if shown["gates"] else ()
    past = (history_rows(shown["history"]),) if shown["history"] else ()
    return (*stage_sentences(shown), facts, *gates, *past)


def _run_sentence(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "none yet"
    holding = f"; holding back: {run['hold_reason']}" if run["hold_reason"] else ""
    failing = f"; {run['error']}" if run["error"] else ""
    rows = some(run["rows"], "row")
    if run["share"] is not None:
        rows = f"{run['rows']:,} of {some(run['rows_expected'], 'row')} ({run['share'] * 100:.0f} %)"
    begun = f"began {when(run['started_at'])}"
    return f"run {run['run']} {run['status']}, {rows} in {run['seconds']:g} s, {begun}{holding}{failing}"


def _quarantine(found: Mapping[str, Any]) -> str:
    codes = ", ".join(f"{code} {rows:,}" for code, rows in found["open_by_code"].items())
    verb = "waits" if found["open"] == 1 else "wait"
    waiting = f"{some(found['open'], 'row')} {verb} for a decision{f' ({codes})' if codes else ''}"
    return f"{waiting}, {found['accepted']:,} accepted"
