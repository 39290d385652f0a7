from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from rich.console import RenderableType

from migration_ops import overview, stages, transitions
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import GateClosed, UnusableInput
from migration_ops.gates import Gate
from migration_ops.management.base import OperatorCommand, Outcome, Partial
from migration_ops.management.presentation import gate_rows, stage_sentences
from migration_ops.stages import Stage


class Command(OperatorCommand):
    """`stage status|advance|back --to STAGE`. Refused: exit 4, a sentence for each closed gate."""

    help = "Say where a migration stands, move it one stage forward through its gates, or back."
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", default="status", choices=["status", "advance", "back"])
        parser.add_argument("--to", metavar="STAGE", choices=[stage.value for stage in Stage], help="where back to")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        verb = options["verb"]
        if (verb == "back") != (options["to"] is not None):
            raise UnusableInput("Say `back --to STAGE`; the other verbs take no --to.")
        if verb == "status":
            return _presented(overview.stage(migration))
        partial.data |= overview.stage(migration, with_gates=False)
        try:
            step = self._step(migration, verb, options)
        except GateClosed as error:
            partial.data |= overview.stage(migration, with_gates=False)
            partial.data["gates"] = [gate.as_dict() for gate in error.gates if isinstance(gate, Gate)]
            raise
        would = "Would move" if options["dry_run"] else "Moved"
        sentence = f"{would} {migration.name} from {step.before.stage} to {step.after.stage}."
        shown = overview.stage(migration) if not options["dry_run"] else overview.placed(step.before)
        if options["dry_run"]:
            shown |= {"gates": [gate.as_dict() for gate in step.gates], "would_be": step.after.stage.value}
        return _presented({**shown, "before": step.before.stage.value}, sentence)

    def _step(self, migration: AnyMigration, verb: str, options: Mapping[str, Any]) -> transitions.Step:
        said = {"actor": options["actor"], "reason": options["reason"], "dry_run": options["dry_run"]}
        if verb == "advance":
            return transitions.advance(migration, **said)
        return transitions.back(migration, stages.Stage(options["to"]), **said)


def _presented(shown: Mapping[str, Any], *sentences: str) -> Outcome:
    text: tuple[RenderableType, ...] = (*sentences, *stage_sentences(shown))
    return Outcome(shown, (*text, gate_rows(shown["gates"], step=shown["next"])) if shown["gates"] else text)
