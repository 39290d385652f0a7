"""`manage.py weekly_reports`"""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import date
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from habits import weekly_reports
from habits.weekly_reports import Outcome as Report
from migration_ops.exceptions import ExitCode
from migration_ops.management.base import OperatorCommand, Outcome, Partial


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write it as 2025-07-21") from None


class Command(OperatorCommand):
    help = "Tell every family that has marks in a week how that week went."

    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--week", type=_day, metavar="DATE", help="a day of the week (default: of the last week that is over)"
        )

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        dry_run = options["dry_run"]
        week = weekly_reports.week_to_report(options["week"], today=timezone.localdate())
        counts = partial.data
        counts |= {"week": week.isoformat(), "families": 0, **{outcome.value: 0 for outcome in Report}}
        for outcome in weekly_reports.make(week=week, dry_run=dry_run):
            counts["families"] += 1
            counts[outcome.value] += 1
        would = "would be told" if dry_run else "told"
        return Outcome(
            {**counts, "dry_run": dry_run},
            (
                f"Week from {week}: {counts['made']:,} families {would}, {counts['existing']:,} were told before,"
                f" {counts['without_marks']:,} without marks, {counts['failed']:,} failed.",
            ),
            ExitCode.FAILED if counts["failed"] else ExitCode.DONE,
        )
