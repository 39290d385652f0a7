"""`manage.py seed_legacy`"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from habits.seed import planned, refuse_to_reset, seed
from habits.seed_data import DataSet
from migration_ops.management.base import OperatorCommand, Outcome, Partial


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if number < 1:
        raise ArgumentTypeError(f"{text!r} is no number of rows; at least 1 is needed")
    return number


class Command(OperatorCommand):
    help = "Fill the legacy table or file with made-up families and boards, the same for the same seed."

    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("--rows", type=_count, default=2_000, metavar="N", help="how many rows (default: 2000)")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="decides what is made up (default: 1)")
        parser.add_argument("--messy", action="store_true", help="with the faults that real data has")
        parser.add_argument("--reset", action="store_true", help="delete the rows that are there first")
        parser.add_argument("--force", action="store_true", help="with --reset: also where families live in modern")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        dry_run, reset = options["dry_run"], options["reset"]
        if reset and not options["force"]:
            refuse_to_reset()
        seeded = (planned if dry_run else seed)(
            DataSet(options["rows"], options["seed"], options["messy"]), reset=reset
        )
        data = {"rows": seeded.rows, "owners": seeded.owners, "target": seeded.target, "present": seeded.present}
        added = "would be added" if dry_run else "added"
        if seeded.present:
            return Outcome(data, (f"This data set is in {seeded.target} already; 0 rows {added}.",))
        instead = ", in place of what is there" if reset else ""
        return Outcome(
            data, (f"{seeded.rows:,} rows of {seeded.owners:,} families {added} to {seeded.target}{instead}.",)
        )
