"""`manage.py import_owners`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from habits.owners import import_file, import_from_legacy
from migration_ops.exceptions import UnusableInput
from migration_ops.management.base import OperatorCommand, Outcome, Partial


class Command(OperatorCommand):
    help = "Create accounts for the owners of legacy rows."

    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, metavar="FILE.csv", help="with the columns id and email")
        parser.add_argument(
            "--from-legacy", action="store_true", help="inactive accounts for the owners that legacy rows name"
        )

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        partial.data |= {"created": 0, "existing": 0}
        if (options["file"] is None) != options["from_legacy"]:
            raise UnusableInput("Give either a CSV file or --from-legacy.")
        dry_run = options["dry_run"]
        if options["from_legacy"]:
            imported = import_from_legacy(dry_run=dry_run)
        else:
            imported = import_file(options["file"], dry_run=dry_run)
        done = "would be created" if dry_run else "created"
        return Outcome(
            {"created": imported.created, "existing": imported.existing},
            (f"{imported.created:,} accounts {done}, {imported.existing:,} existed already.",),
        )
