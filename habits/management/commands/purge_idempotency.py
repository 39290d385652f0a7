"""`manage.py purge_idempotency`"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from habits import idempotency
from migration_ops.exceptions import UnusableInput
from migration_ops.management.base import OperatorCommand, Outcome, Partial

LARGEST_BATCH = 10_000


class Command(OperatorCommand):
    help = "Delete the recorded answers of requests that are older than 72 hours."

    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch-size",
            type=int,
            default=idempotency.PURGED_AT_A_TIME,
            metavar="N",
            help=f"answers in a transaction, 1 to {LARGEST_BATCH}; default {idempotency.PURGED_AT_A_TIME}",
        )

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        batch = options["batch_size"]
        if not 1 <= batch <= LARGEST_BATCH:
            raise UnusableInput(f"--batch-size {batch} is not between 1 and {LARGEST_BATCH}.")
        if options["dry_run"]:
            expired = idempotency.expired()
            return Outcome({"purged": expired, "dry_run": True}, (f"{expired:,} answers would be deleted.",))
        purged = idempotency.purge(batch)
        return Outcome({"purged": purged}, (f"{purged:,} answers deleted.",))
