"""What the commands that compare both stores show to people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from migration_ops.definition import Stray
from migration_ops.management.presentation import some
from migration_ops.verify.compare import Tally
from migration_ops.verify.journal import LEGACY_PASS, TOUCHED_PASS
from migration_ops.verify.repair_step import Action, Step
from migration_ops.verify.report import Report
from migration_ops.verify.sweep import Progress as Told

SHOWN = 10
"""Differences that the terminal shows; the report has them all."""

_DOES = {
    Action.SAVE: "write it",
    Action.DELETE: "remove it",
    Action.KEEP: "keep it (--delete-extras removes it)",
    Action.NOTHING: "nothing, it is equal by now",
}


def shown(
    report: Report, first: list[dict[str, Any]], steps: list[Step], written: list[Path]
) -> tuple[RenderableType, ...]:
    """A comparison for the terminal.

    Args:
        first: the first differences, as the JSON has them.
        steps: what a dry run would do.
        written: files that were written.
    """
    return (_sentence(report), _table(report), *_closing(report, first, steps, written))


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
        "rows left out, in quarantine": f"{tally.rows_quarantined:,}",
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


def _rounded_up(share: float) -> Decimal:
    """A share in per cent: a sample proves no less than is said of it, here as in the admin."""
    return Decimal(str(share * 100)).quantize(Decimal("0.0001"), "ROUND_UP")


def _closing(report: Report, first: list[dict[str, Any]], steps: list[Step], written: list[Path]) -> Iterator[Text]:
    validation = report.validation
    for reason in validation.reasons:
        yield Text(f"Incomplete: {reason}", style="yellow")
    if validation.power is not None:
        yield Text(
            f"Had {_rounded_up(validation.power)} % or more of them differed, a sample of this size would have shown it"
            " with 95 % confidence."
        )
    for stray in validation.strays:
        yield Text(f"  {some(stray.rows, 'row')} of {stray.table} that belong to nothing, e.g. id {stray.example}")
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
    for step in steps[:SHOWN]:
        yield Text(f"  Would {_DOES[step.action]}: {step.key}")
    for stray, action in stray_actions(report) if report.dry_run else ():
        if action is Action.DELETE:
            yield Text(f"  Would remove {some(stray.rows, 'row')} of {stray.table} that belong to nothing")
    yield from map(Text, _left_out(report))
    for path in written:
        yield Text(f"Report: {path}")


def _left_out(report: Report) -> Iterator[str]:
    """Why rows of legacy were not compared, and what that means."""
    new = sum(report.validation.unrecorded.values())
    waiting = report.validation.quarantine_open - new
    if waiting:
        verb = "waits" if waiting == 1 else "wait"
        yield f"{some(waiting, 'row')} in quarantine {verb} for a decision; not compared: manage.py quarantine list"
    if new:
        verb = "belongs" if new == 1 else "belong"
        yield f"{some(new, 'row')} {verb} into quarantine; without --dry-run that is noted."
    accepted = sum(line["accepted"] for line in report.quarantine())
    if accepted:
        verb = "was" if accepted == 1 else "were"
        yield (
            f"{some(accepted, 'row')} of legacy {verb} accepted by a person to stay behind: not compared, and no"
            " difference."
        )


def stray_actions(report: Report) -> list[tuple[Stray, Action]]:
    """What a dry run says of strays, by table."""
    kept = report.repair is None or bool(report.repair.strays.kept_because)
    return [(stray, Action.KEEP if kept else Action.DELETE) for stray in report.validation.strays]


def _repaired(report: Report) -> str:
    done = report.repair
    if done is None:
        return ""
    would = "Would have written" if report.dry_run else "Written"
    sentence = f"{would} {done.saved:,}, removed {done.deleted:,} in the {done.side.value} store"
    sentence += f"; {some(done.kept, 'extra')} kept, {done.gone:,} equal by now, {len(done.failed):,} failed."
    if done.strays.removed and not report.dry_run:
        sentence += f" {some(done.strays.removed, 'row')} that belonged to nothing removed."
    return sentence


def _line(difference: dict[str, Any]) -> str:
    facts = {"kind", "fields", "dirty", "status", "severity", "id"}
    key = " · ".join(str(value) for name, value in difference.items() if name not in facts)
    fields = "; ".join(
        f"{field['path']}: {field['legacy']!r} → {field['modern']!r}" for field in difference["fields"][:3]
    )
    more = f"; {len(difference['fields']) - 3} more" if len(difference["fields"]) > 3 else ""
    waits = " (a change waits to be carried over)" if difference.get("dirty") else ""
    said = f"{difference['id']}  {difference['severity']}  {difference['status']}  {difference['kind']}"
    return f"  {said}  {key}  {fields}{more}{waits}"


@contextmanager
def progress() -> Iterator[Told]:
    """A bar on stderr where that is a terminal, nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda number, tally: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("comparing", total=None)

        def told(number: int, tally: Tally) -> None:
            if number == TOUCHED_PASS:
                bar.update(task, description="comparing what was touched", completed=tally.compared)
            elif number == LEGACY_PASS:
                bar.update(task, completed=tally.legacy_rows)
            else:
                bar.update(
                    task, description="looking for extras", completed=tally.modern_documents, total=tally.matched
                )

        yield told
