"""`manage.py validate_migration`: compare both stores cell by cell, report, and repair if asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import translation
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from migration_ops.conf import settings
from migration_ops.definition import Stray
from migration_ops.exceptions import UnusableInput
from migration_ops.management.base import OperatorCommand, Outcome, Partial
from migration_ops.sync import source as sources
from migration_ops.verify import report_file
from migration_ops.verify.compare import Tally
from migration_ops.verify.journal import LEGACY_PASS
from migration_ops.verify.repair import Action, plan, repair
from migration_ops.verify.report import Report
from migration_ops.verify.sweep import Progress as Told
from migration_ops.verify.validation import Validation, discard, empty_summary, validate

SHOWN = 10
"""Differences that the terminal shows; the report has them all."""

_DOES = {
    Action.SAVE: "write it",
    Action.DELETE: "remove it",
    Action.KEEP: "keep it (--delete-extras removes it)",
    Action.NOTHING: "nothing, it is equal by now",
}


LARGEST_SAMPLE = 1_000_000


class Command(OperatorCommand):
    """Prove that both stores hold the same, or say what differs."""

    help = "Compare the legacy and the modern store cell by cell; optionally report and repair."
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("--sample", type=int, metavar="N", help="compare N random ones only (default: everything)")
        parser.add_argument("--source", metavar="FILE", help="compare with this JSON file instead of the legacy store")
        parser.add_argument("--seed", type=int, metavar="S", help="choose the same sample again")
        parser.add_argument(
            "--report",
            action="append",
            type=Path,
            default=[],
            metavar="FILE",
            help="write all differences to FILE.json, FILE.html or FILE.csv; may be given several times",
        )
        parser.add_argument("--repair", action="store_true", help="make the follower equal to the store in authority")
        parser.add_argument(
            "--delete-extras", action="store_true", help="with --repair: also remove what the authority does not have"
        )

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        if options["source"] is not None:
            migration = sources.beside(migration, sources.name_of(migration, options["source"]))
        for name in ("dry_run", "delete_extras"):
            if options[name] and not options["repair"]:
                raise UnusableInput(f"--{name.replace('_', '-')} says how to repair; add --repair.")
        if options["sample"] is not None and options["sample"] > LARGEST_SAMPLE:
            raise UnusableInput(
                f"A sample has at most {LARGEST_SAMPLE:,} documents; leave --sample out for everything."
            )
        for path in options["report"]:
            report_file.check(path)
        partial.data.update(empty_summary(migration))
        with _progress() as told:
            validation = validate(
                migration,
                actor=options["actor"],
                sample=options["sample"],
                seed=options["seed"],
                keep=not options["dry_run"],
                progress=told,
            )
        try:
            return self._outcome(validation, options, partial)
        finally:
            if options["dry_run"]:
                discard(validation)

    def _outcome(self, validation: Validation, options: dict[str, Any], partial: Partial) -> Outcome:
        report = Report(validation)
        partial.data.update(report.as_json())
        actions: list[tuple[str, Action]] = []
        if options["dry_run"]:
            would, actions = plan(validation, delete_extras=options["delete_extras"])
            report = Report(validation, would, dry_run=True)
        elif options["repair"]:
            done = repair(
                validation,
                actor=options["actor"],
                reason=options["reason"],
                delete_extras=options["delete_extras"],
            )
            report = Report(validation, done)
        for path in options["report"]:
            report_file.write(path, report)
        first = list(islice(report.differences(), settings().report_differences))
        data = {**report.as_json(), "differences": first}
        if options["dry_run"]:
            decode, describe = report.migration.decode_key, report.migration.describe_key
            data["run"] = None
            data["actions"] = [
                *({**describe(decode(key)), "action": action.value} for key, action in actions),
                *({**asdict(stray), "action": action.value} for stray, action in _stray_actions(report)),
            ]
        with translation.override("en"):
            text: tuple[RenderableType, ...] = (
                _sentence(report),
                _table(report),
                *_closing(report, first, actions, options["report"]),
            )
        return Outcome(data, text, report.exit_code)


def _sentence(report: Report) -> Text:
    return Text(report.verdict(), style="bold")


def _table(report: Report) -> Table:
    tally, plural = report.validation.tally, report.migration.plural
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    rate = tally.success_rate
    numbers = {
        "legacy rows read": f"{tally.legacy_rows:,}",
        f"{plural} compared": f"{tally.compared:,}",
        "matched": f"{tally.matched:,}",
        "mismatched": f"{tally.mismatched:,}",
        "missing in modern": f"{tally.missing_in_modern:,}",
        "missing in legacy": f"{tally.missing_in_legacy:,}",
        "rows in quarantine": f"{tally.rows_quarantined:,}",
        "marks legacy / modern / equal": f"{tally.cells_legacy:,} / {tally.cells_modern:,} / {tally.cells_equal:,}",
        "success rate": "–" if rate is None else f"{_percent(rate)} %",
        "seconds": f"{report.validation.seconds:.1f}",
    }
    for name, value in numbers.items():
        table.add_row(name, value)
    return table


def _percent(rate: float) -> str:
    """Never rounded up to 100."""
    return "100" if rate == 100 else f"{min(rate, 99.9999):.4f}"


def _closing(
    report: Report, first: list[dict[str, Any]], actions: list[tuple[str, Action]], written: list[Path]
) -> Iterator[Text]:
    validation = report.validation
    for reason in validation.reasons:
        yield Text(f"Incomplete: {reason}", style="yellow")
    if validation.power is not None:
        yield Text(
            f"A clean sample of this size would have met a share of {validation.power:.6f} with 95 % confidence."
        )
    for stray in validation.strays:
        yield Text(f"  {stray.rows:,} rows of {stray.table} belong to nothing, e.g. id {stray.example}")
    for difference in first[:SHOWN]:
        yield Text(_line(difference))
    if len(first) > SHOWN:
        more = validation.tally.differences - SHOWN
        yield Text(f"… and {more:,} more; --report FILE.html lists them all.")
    if report.repair is not None:
        yield Text(_repaired(report))
        for failure in report.repair.failed[:SHOWN]:
            yield Text(f"  {failure.key}: {failure.message}", style="red")
        if report.repair.strays.kept_because:
            yield Text(f"Rows that belong to nothing stay. {report.repair.strays.kept_because}", style="yellow")
        for failed in report.repair.strays.failed:
            yield Text(f"  {failed.table}: {failed.message}", style="red")
    for key, action in actions[:SHOWN]:
        yield Text(f"  Would {_DOES[action]}: {key}")
    for stray, action in _stray_actions(report) if report.dry_run else ():
        if action is Action.DELETE:
            yield Text(f"  Would remove {stray.rows:,} rows of {stray.table} that belong to nothing")
    new = sum(validation.unrecorded.values())
    if validation.quarantine_open > new:
        yield Text(f"{validation.quarantine_open - new:,} rows are in quarantine: manage.py quarantine list")
    if new:
        yield Text(f"{new:,} rows belong into quarantine; without --dry-run they are put there.")
    for path in written:
        yield Text(f"Report: {path}")


def _stray_actions(report: Report) -> list[tuple[Stray, Action]]:
    """What a dry run says of strays, by table."""
    kept = report.repair is None or bool(report.repair.strays.kept_because)
    return [(stray, Action.KEEP if kept else Action.DELETE) for stray in report.validation.strays]


def _repaired(report: Report) -> str:
    done = report.repair
    if done is None:
        return ""
    would = "Would have written" if report.dry_run else "Written"
    sentence = f"{would} {done.saved:,}, removed {done.deleted:,} in the {done.side.value} store"
    sentence += f"; {done.kept:,} extras kept, {done.gone:,} equal by now, {len(done.failed):,} failed."
    if done.strays.removed and not report.dry_run:
        sentence += f" {done.strays.removed:,} rows that belonged to nothing removed."
    return sentence


def _line(difference: dict[str, Any]) -> str:
    facts = {"kind", "fields", "dirty", "status"}
    key = " · ".join(str(value) for name, value in difference.items() if name not in facts)
    fields = "; ".join(
        f"{field['path']}: {field['legacy']!r} → {field['modern']!r}" for field in difference["fields"][:3]
    )
    more = f"; {len(difference['fields']) - 3} more" if len(difference["fields"]) > 3 else ""
    waits = " (a change waits to be carried over)" if difference.get("dirty") else ""
    return f"  {difference['kind']}  {key}  {fields}{more}{waits}"


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar on stderr where that is a terminal, nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda number, tally: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("comparing", total=None)

        def told(number: int, tally: Tally) -> None:
            if number == LEGACY_PASS:
                bar.update(task, completed=tally.legacy_rows)
            else:
                bar.update(
                    task, description="looking for extras", completed=tally.modern_documents, total=tally.matched
                )

        yield told
