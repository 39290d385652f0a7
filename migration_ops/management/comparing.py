"""What the commands that compare both stores have in common: options, repair, reports, and what a dry run says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import translation

from migration_ops.conf import settings
from migration_ops.exceptions import UnusableInput
from migration_ops.management.base import Outcome, Partial
from migration_ops.management.comparison import shown, stray_actions
from migration_ops.verify import report_file
from migration_ops.verify.repair import plan, repair
from migration_ops.verify.repair_step import Step
from migration_ops.verify.report import Report
from migration_ops.verify.validation import Validation, discard

LARGEST_SAMPLE = 1_000_000


def add_options(parser: CommandParser, *, sample: str, only: str = "") -> None:
    """Add what both understand.

    Args:
        sample: what `--sample` is for.
        only: the verb that they belong to, where the command has several.
    """
    of = f"{only}: " if only else ""
    parser.add_argument("--sample", type=int, metavar="N", help=f"{of}{sample}")
    parser.add_argument("--seed", type=int, metavar="S", help=f"{of}choose the same sample again")
    parser.add_argument("--repair", action="store_true", help=f"{of}make the follower equal to the store in authority")
    parser.add_argument(
        "--report",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=f"{of}write all differences to FILE.json, FILE.html or FILE.csv; may be given several times",
    )


def refuse_nonsense(options: Mapping[str, Any], *, everything: str) -> None:
    """Say what cannot be meant before anything is compared.

    Args:
        everything: how one compares more than a sample may have.

    Raises:
        UnusableInput: an option means nothing without another, or a report could not be written.
    """
    if options["delete_extras"] and not options["repair"]:
        raise UnusableInput("--delete-extras says how to repair; add --repair.")
    if options["sample"] is not None and options["sample"] > LARGEST_SAMPLE:
        raise UnusableInput(f"A sample has at most {LARGEST_SAMPLE:,} documents; {everything}.")
    for path in options["report"]:
        report_file.check(path)


def outcome(validation: Validation, options: Mapping[str, Any], partial: Partial) -> Outcome:
    """Repair what was found if that was asked for, write the reports, and say all of it; of a dry run nothing stays."""
    try:
        return _outcome(validation, options, partial)
    finally:
        if options["dry_run"]:
            discard(validation)


def _outcome(validation: Validation, options: Mapping[str, Any], partial: Partial) -> Outcome:
    report = Report(validation)
    partial.data.update(report.as_json())
    steps: list[Step] = []
    extras = options["delete_extras"]
    if options["repair"] and options["dry_run"]:
        would, steps = plan(validation, delete_extras=extras)
        report = Report(validation, would, dry_run=True)
    elif options["repair"]:
        done = repair(validation, actor=options["actor"], reason=options["reason"], delete_extras=extras)
        report = Report(validation, done)
    for path in options["report"]:
        report_file.write(path, report)
    first = list(islice(report.differences(), settings().report_differences))
    data = {**report.as_json(), "differences": first}
    if options["dry_run"]:
        decode, describe = report.migration.decode_key, report.migration.describe_key
        data["run"] = None
        data["actions"] = [
            *({**describe(decode(step.key)), "action": step.action.value} for step in steps),
            *({**asdict(stray), "action": action.value} for stray, action in stray_actions(report)),
        ]
    with translation.override("en"):
        text = shown(report, first, steps, options["report"])
    return Outcome(data, text, report.exit_code)
