"""`alerts`: what somebody has to know, for people without the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from rich.text import Text

from migration_ops import alerts, moment
from migration_ops.alerts.channels import configured
from migration_ops.alerts.listing import TOLD, UNRESOLVED, item
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, UnusableInput
from migration_ops.management.base import OperatorCommand, Outcome, Partial
from migration_ops.management.presentation import coloured
from migration_ops.management.rows import Rows


class Command(OperatorCommand):
    """`alerts list|acknowledge ID|test`; ids are those that `list` shows."""

    help = "Show what is wrong and not mended yet, say that you know of it, or try whether alerts arrive."
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", default="list", choices=["list", "acknowledge", "test"])
        parser.add_argument("id", nargs="?", type=int, metavar="ID", help="acknowledge: which alert")
        parser.add_argument("--all", action="store_true", help="list: resolved ones as well, the newest hundred")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        verb = options["verb"]
        if (options["id"] is not None) != (verb == "acknowledge"):
            raise UnusableInput("Say `alerts acknowledge ID`; `list` and `test` take no id.")
        if options["all"] and verb != "list":
            raise UnusableInput("--all belongs to `alerts list`.")
        if verb == "acknowledge":
            return _acknowledged(migration, options)
        if verb == "test":
            return _tried(migration, dry_run=options["dry_run"])
        return _listed(migration, everything=options["all"])


def _listed(migration: AnyMigration, *, everything: bool) -> Outcome:
    items = alerts.listing(migration, statuses=TOLD if everything else UNRESOLVED)
    open_now = alerts.count_open(migration)
    data = {"open": open_now, "items": [each.as_dict() for each in items]}
    summary = f"Open alerts that nobody has acknowledged: {open_now:,}."
    if not items:
        return Outcome(data, (summary,))
    rows = Rows("id", "since", "severity", "status", "what is wrong", prose=("what is wrong",))
    for each in items:
        status = f"{each.status} ({each.acknowledged_by})" if each.acknowledged_by else each.status
        rows.add(str(each.id), moment.shown(each.since), each.severity, status, each.message)
    return Outcome(data, (rows, summary))


def _acknowledged(migration: AnyMigration, options: Mapping[str, Any]) -> Outcome:
    said = {name: options[name] for name in ("actor", "reason", "dry_run")}
    done = alerts.acknowledge(migration, options["id"], **said)
    data: dict[str, Any] = {"open": alerts.count_open(migration), "items": [item(done.alert).as_dict()]}
    if options["dry_run"]:
        data["dry_run"] = True
    if not done.changed:
        sentence = f"Nothing to do: {done.alert.acknowledged_by} has acknowledged alert {done.alert.pk} already."
    else:
        sentence = f"{'Would acknowledge' if options['dry_run'] else 'Acknowledged'} alert {done.alert.pk}."
    return Outcome(data, (sentence,))


def _tried(migration: AnyMigration, *, dry_run: bool) -> Outcome:
    if dry_run:
        named = [channel.value for channel in configured()]
        data = {"channels": [{"channel": name, "sent": False, "message": ""} for name in named], "dry_run": True}
        return Outcome(data, (f"Would send a test message through {', '.join(named)}.",))
    tried = alerts.attempt(migration)
    data = {"channels": [{"channel": one.channel.value, "sent": one.sent, "message": one.why} for one in tried]}
    lines = [Text.assemble(f"{one.channel}: ", coloured("ok") if one.sent else one.why) for one in tried]
    return Outcome(data, tuple(lines), ExitCode.DONE if all(one.sent for one in tried) else ExitCode.FAILED)
