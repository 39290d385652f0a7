from __future__ import annotations

from typing import Any

from migration_ops import preflight
from migration_ops.exceptions import ExitCode
from migration_ops.management.base import OperatorCommand, Outcome, Partial
from migration_ops.management.presentation import coloured
from migration_ops.management.rows import Rows


class Command(OperatorCommand):
    """Exit 0 when no check fails (warnings do not count), 1 when one does: mend it and look again."""

    help = "Look whether a migration can start: database, role, tables, triggers, locks, room."
    requires_system_checks = []

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        report = preflight.run(self.migration(options))
        rows = Rows("check", "status", "what was found", "what to do", prose=("what was found", "what to do"))
        for check in report.checks:
            rows.add(check.id, coloured(check.status.value), check.message, check.hint)
        for check in report.failed:
            self.stderr.write(f"{check.id}: {check.message} {check.hint}".rstrip())
        return Outcome(report.as_dict(), (rows,), ExitCode.DONE if report.ok else ExitCode.FAILED)
