from __future__ import annotations

from dataclasses import asdict
from typing import Any

from migration_ops import history
from migration_ops.exceptions import ExitCode
from migration_ops.management.base import OperatorCommand, Outcome, Partial


class Command(OperatorCommand):
    """Exit 0 when the whole history is as it was written, 5 when it is not."""

    help = "Recompute the history's chain of hashes, of all migrations, and say where it is broken."

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        found = history.verify()
        if not found.ok:
            self.stderr.write(found.message)
        text = (found.message, f"Last hash: {found.head or 'none'}")
        return Outcome(asdict(found), text if found.ok else (), ExitCode.DONE if found.ok else ExitCode.DIFFERENT)
