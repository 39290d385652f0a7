from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, UnusableInput
from migration_ops.management.base import OperatorCommand, Outcome, Partial
from migration_ops.management.rows import Rows
from migration_ops.schema import shadow
from migration_ops.schema.constraints import Constraint, constraints, invalid_indexes, validate


class Command(OperatorCommand):
    """`shadow_schema status|validate|drop`. A constraint that rows violate: exit 1, the others are validated."""

    help = "Show and validate the constraints of the modern tables, or drop the tables while nobody uses them."
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", default="status", choices=["status", "validate", "drop"])

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        if options["verb"] == "drop":
            return _drop(migration, options)
        if options["verb"] == "status" and options["dry_run"]:
            raise UnusableInput("`shadow_schema status` writes nothing; leave out --dry-run.")
        if options["verb"] == "status" or options["dry_run"]:
            return _shown(migration, constraints(migration))
        found = validate(migration)
        for one in found:
            if one.problem:
                self.stderr.write(f"{one.name} on {one.table} is not validated: {one.problem}.")
        return _shown(migration, found, ExitCode.DONE if all(one.validated for one in found) else ExitCode.FAILED)


def _drop(migration: AnyMigration, options: Mapping[str, Any]) -> Outcome:
    dropped = shadow.drop(migration, actor=options["actor"], reason=options["reason"], dry_run=options["dry_run"])
    verb = "Would drop" if options["dry_run"] else "Dropped"
    data = {
        "constraints": [asdict(one) for one in constraints(migration)],
        "tables": list(dropped.tables),
        "forgotten": dropped.forgotten,
        "dry_run": options["dry_run"],
    }
    again = "" if options["dry_run"] else " `manage.py migrate` makes them anew."
    return Outcome(data, (f"{verb} {', '.join(dropped.tables) or 'nothing'}.{again}",))


def _shown(migration: AnyMigration, found: list[Constraint], exit_code: ExitCode = ExitCode.DONE) -> Outcome:
    leftovers = invalid_indexes(migration)
    data = {"constraints": [asdict(one) for one in found], "invalid_indexes": leftovers}
    rows = Rows("constraint", "table", "kind", "validated", "problem", prose=("problem",))
    for one in found:
        rows.add(one.name, one.table, one.kind, "yes" if one.validated else "no", one.problem)
    lines: list[Rows | str] = [rows]
    if leftovers:
        names = ", ".join(leftovers)
        lines.append(f"Left over from a build that failed: {names}. DROP INDEX CONCURRENTLY, then migrate again.")
    return Outcome(data, tuple(lines), exit_code)
