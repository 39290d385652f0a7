"""`manage.py backfill`: copy the legacy store into the modern one, batch by batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandParser
from django.db import Error
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from migration_ops import runs
from migration_ops.backfill import background, rehearsals, report, service
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.progress import Progress
from migration_ops.backfill.report import Report
from migration_ops.backfill.request import Request
from migration_ops.backfill.service import Show
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, MigrationOpsError, UnusableInput
from migration_ops.gates.wording import duration
from migration_ops.management.base import OperatorCommand, Outcome, Partial
from migration_ops.management.presentation import some
from migration_ops.management.visible import visible
from migration_ops.models import RunKind, RunStatus
from migration_ops.models.run import UNFINISHED

VERBS = ("start", "pause", "resume", "cancel", "status")

NO_RUN: dict[str, Any] = {"run": None, "status": "none"}

SENTENCES = {
    RunStatus.RUNNING: "The run is at work.",
    RunStatus.PAUSED: "The run is paused; `manage.py backfill resume` goes on where it stopped.",
    RunStatus.SUCCEEDED: "The run is complete.",
    RunStatus.FAILED: "The run failed; run it again when the cause is mended, it goes on where it stopped.",
    RunStatus.CANCELLED: "The run was given up; what it has written stays.",
    "dry_run": "Nothing was written: this is what a backfill would do now.",
}


class Command(OperatorCommand):
    help = (
        "Copy every legacy row into the modern store, batch by batch, while the app goes on. Killed at any moment it"
        " can be run again: `start` (the default) goes on with an unfinished run, paused or not, and otherwise reads"
        " everything anew and writes only what differs. Exit code 3: done, but rows wait in quarantine."
    )
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", choices=VERBS, default="start", help="default: start")
        parser.add_argument("--batch-size", type=int, metavar="N", help="rows a batch (default: adaptive)")
        parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that share the run")
        parser.add_argument("--limit", type=int, metavar="N", help="stop after N rows; counts as a trial")
        parser.add_argument("--source", metavar="FILE", help="read this JSON file instead of the legacy store")
        parser.add_argument("--restart", action="store_true", help="give an unfinished run up and begin anew")
        parser.add_argument("--queue", action="store_true", help="let workers of the queue do it; return at once")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        verb = options["verb"]
        if options["queue"] and verb not in ("start", "resume"):
            raise UnusableInput("--queue is for `backfill start` and `backfill resume`.")
        if options["dry_run"] and verb != "start":
            raise UnusableInput(f"--dry-run is for `backfill start`, not for {verb}.")
        if verb == "status":
            return _present(migration, _status(migration), ExitCode.DONE)
        if verb in ("pause", "cancel"):
            ask = service.pause if verb == "pause" else service.cancel
            found = ask(migration, actor=options["actor"], reason=options["reason"])
            return _present(migration, found, ExitCode.DONE)
        request = _request(options)
        if options["queue"] and options["dry_run"]:
            return _rehearse_in_background(migration, options)
        if options["queue"]:
            opened = _present(migration, background.start(migration, request), ExitCode.DONE)
            return replace(opened, text=(*opened.text, "`manage.py backfill status` says how far it is."))
        ended = _ended(migration)
        with _bar(self.stderr.isatty()) as show:
            if options["dry_run"]:
                return _present(migration, service.rehearse(migration, request, show=show), ExitCode.DONE)
            try:
                found = service.start(migration, request, show=show)
            except (KeyboardInterrupt, MigrationOpsError):
                with suppress(Error):  # the failure itself says more than that its details cannot be read
                    partial.data.update(_known(migration, ended))
                raise
        return _present(migration, found, _exit_code(found))


def _rehearse_in_background(migration: AnyMigration, options: Mapping[str, Any]) -> Outcome:
    for name, usual in (("limit", None), ("source", None), ("restart", False), ("batch_size", None), ("workers", 1)):
        if options[name] != usual:
            raise UnusableInput(
                "A dry run in the background reads everything, one worker at a time;"
                f" leave --{name.replace('_', '-')} out."
            )
    run, woken = rehearsals.start(migration, actor=options["actor"], reason=options["reason"])
    problem = background.problem(migration, woken)
    data = {**report.describe(migration, run).data, "dry_run": True, "queued": True, "problem": problem}
    told = f"Dry run {run.pk} is left to the workers; `manage.py migration_status --json` says what it found. {problem}"
    return Outcome(data, (told.strip(),))


def _request(options: Mapping[str, Any]) -> Request:
    return Request(
        actor=options["actor"],
        reason=options["reason"],
        batch_size=options["batch_size"],
        workers=options["workers"],
        limit=options["limit"],
        source=options["source"],
        restart=options["restart"],
        resume_only=options["verb"] == "resume",
        queued=options["queue"],
    )


def _status(migration: AnyMigration) -> Report:
    run = runs.latest(migration, RunKind.BACKFILL)
    if run is None:
        return Report(data=NO_RUN, status="none", open_quarantine=0)
    return report.status(migration, run)


def _ended(migration: AnyMigration) -> int | None:
    """The run before this command, if it has ended: its counts are not what this command did."""
    run = runs.latest(migration, RunKind.BACKFILL)
    return None if run is None or run.status in UNFINISHED else run.pk


def _known(migration: AnyMigration, ended: int | None) -> dict[str, Any]:
    run = runs.latest(migration, RunKind.BACKFILL)
    return NO_RUN if run is None or run.pk == ended else report.describe(migration, run).data


def _exit_code(found: Report) -> ExitCode:
    if found.status == RunStatus.SUCCEEDED and found.data.get("apply_failed"):
        return ExitCode.FAILED
    if found.status == RunStatus.SUCCEEDED and found.open_quarantine:
        return ExitCode.QUARANTINED
    return ExitCode.DONE


def _present(migration: AnyMigration, found: Report, exit_code: ExitCode) -> Outcome:
    if found.data["run"] is None and found.status == "none":
        return Outcome(found.data, ("No backfill has been started.",), exit_code)
    run = found.data["run"]
    table = Table(title=f"Backfill of {migration.name}" + ("" if run is None else f", run {run}"), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name in ("status", *report.counted(migration, Counters())):
        table.add_row(name.replace("_", " "), _text(found.data[name]))
    silent = _AHEAD if found.status not in UNFINISHED else ()
    if found.status in UNFINISHED and "lease" in found.data and found.data["lease"] is None:
        silent = _AT_WORK
    for name, (label, said) in _MORE.items():
        if found.data.get(name) not in (None, "") and name not in silent:
            table.add_row(label, said(found.data[name]))
    sentences = [SENTENCES.get(found.status, "")]
    if found.status == RunStatus.RUNNING and found.data.get("queued"):
        sentences = [_in_background(found)]
    elif found.status == RunStatus.RUNNING and "lease" in found.data and found.data["lease"] is None:
        sentences = ["Its process is gone; `manage.py backfill` goes on where it stopped."]
    if failed := found.data.get("apply_failed"):
        sentences.append(f"{some(failed, 'change')} could not be carried over; `manage.py sync_changes` tries again.")
    if found.open_quarantine:
        verb = "waits" if found.open_quarantine == 1 else "wait"
        rows = some(found.open_quarantine, "row")
        sentences.append(f"{rows} {verb} in quarantine for a decision; see `manage.py quarantine list`.")
    return Outcome(found.data, (table, " ".join(sentences)), exit_code)


def _in_background(found: Report) -> str:
    if problem := found.data.get("problem"):
        return f"The run is open, and begins by itself. {problem}"
    if found.data.get("lease"):
        return "The run is at work in the background."
    return "The run waits for a worker of the queue."


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


_MORE: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "seconds": ("time worked", lambda seconds: f"{seconds:,.1f} s"),
    "rows_per_second": ("speed", lambda speed: f"{speed:,.0f} rows/s"),
    "applied": ("changes carried over", _text),
    "dirty_remaining": ("changes that wait", _text),
    "fraction": ("done", lambda fraction: f"{fraction * 100:.1f} %"),
    "eta_seconds": ("time left", lambda seconds: str(duration(seconds)) if seconds >= 2 else "less than 2 s"),
    "hold_reason": ("holding back", _text),
    "requested": ("asked to", _text),
    "error": ("error", _text),
}
"""What else is shown where it is known: in which words, and how."""

_AHEAD = ("fraction", "eta_seconds")
"""What says nothing any more once a run has ended."""

_AT_WORK = ("rows_per_second", "eta_seconds")
"""What says nothing while nobody works on a run."""


@contextmanager
def _bar(on_terminal: bool) -> Iterator[Show | None]:
    """A progress bar on stderr, refreshed by the work itself: no thread, so that workers can be forked."""
    if not on_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]:,.0f} rows/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[reason]}", markup=False),
    )
    with ProgressBar(*columns, console=Console(file=sys.stderr), auto_refresh=False) as bar:
        task = bar.add_task("Backfill", total=None, speed=0.0, reason="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.counters.rows_read,
                total=progress.total,
                speed=progress.speed,
                reason=visible(progress.hold_reason),
                refresh=True,
            )

        yield show
