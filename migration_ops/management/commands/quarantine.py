"""`quarantine`: see the rows that wait for a person, and decide on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from migration_ops import quarantine
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, UnusableInput
from migration_ops.management.base import Outcome, Partial
from migration_ops.management.numbered import NumberedCommand
from migration_ops.management.presentation import some
from migration_ops.management.rows import Rows
from migration_ops.models import QuarantineStatus
from migration_ops.quarantine import Decision
from migration_ops.quarantine_listing import UNDECIDED, Listing, listing, waiting_ids

_STATUSES = {"undecided": UNDECIDED, "all": tuple(QuarantineStatus)} | {
    status.value: (status,) for status in QuarantineStatus
}


class Command(NumberedCommand):
    """`quarantine list|accept ID…|assign-owner ID… --owner UUID|retry [ID…]`; ids are those that `list` shows.

    Instead of ids, decisions take `--code CODE`: all open rows of that code."""

    help = "Show the legacy rows that cannot be represented, and decide what becomes of them."
    listed_by = "quarantine list"
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", default="list", choices=["list", "accept", "assign-owner", "retry"])
        parser.add_argument("ids", nargs="*", metavar="ID", help="items to decide on")
        parser.add_argument(
            "--owner", metavar="UUID", help="assign-owner: whose the rows are; an e-mail address will do"
        )
        parser.add_argument("--code", help="only rows with this code; for a decision instead of ids")
        parser.add_argument("--status", choices=list(_STATUSES), help="list: open and accepted ones by default")
        parser.add_argument("--limit", type=int, metavar="N", help="list: at most so many rows (default: 100)")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        verb = options["verb"]
        ids = self.numbers(options)
        _refuse_strangers(verb, options)
        partial.data |= _data(listing(migration, limit=0))
        if verb == "list":
            status, limit = options["status"] or "undecided", options["limit"]
            shown = listing(
                migration, code=options["code"], status=_STATUSES[status], limit=100 if limit is None else limit
            )
            return Outcome(_data(shown), _text(shown))
        if options["code"] is not None:
            ids = waiting_ids(migration, options["code"])
        if options["dry_run"]:
            return _would(migration, verb, ids, options)
        return _outcome(verb, _decide(migration, verb, ids, options))


def _decide(migration: AnyMigration, verb: str, ids: list[int], options: Mapping[str, Any]) -> Decision:
    said = {"actor": options["actor"], "reason": options["reason"]}
    if verb == "accept":
        return quarantine.accept(migration, ids, **said)
    if verb == "assign-owner":
        return quarantine.assign_owner(migration, ids, owner=options["owner"], **said)
    if ids or options["code"] is not None:
        return quarantine.retry_some(migration, ids, **said)
    return quarantine.retry(migration, **said)


def _would(migration: AnyMigration, verb: str, ids: list[int], options: Mapping[str, Any]) -> Outcome:
    if verb == "accept":
        would = quarantine.planned_acceptance(migration, ids)
    elif verb == "assign-owner":
        would = quarantine.planned_assignment(migration, ids, owner=options["owner"])
    elif ids or options["code"] is not None:
        would = quarantine.planned_retry_of_some(migration, ids)
    else:
        would = quarantine.planned_retry(migration)
    words = {"accept": "accept", "assign-owner": "give an owner to", "retry": "look again at"}
    return Outcome(
        {**_data(would.listing), "rows": would.rows, "advice": would.advice, "dry_run": True},
        (f"Would {words[verb]} {some(would.rows, 'row')}.", *_text(would.listing), *would.advice),
    )


def _outcome(verb: str, decision: Decision) -> Outcome:
    shown, done = decision.listing, decision.applied
    data = {**_data(shown), "rows": decision.rows, "advice": decision.advice}
    exit_code = ExitCode.QUARANTINED if verb == "retry" and shown.open else ExitCode.DONE
    text = (*_text(shown), *decision.advice)
    if done is not None:
        data |= {"applied": done.applied, "failed": done.failed, "remaining": done.remaining}
        text = (f"{some(done.applied, 'change')} carried over, {done.failed:,} failed.", *text)
        exit_code = ExitCode.FAILED if decision.failed else exit_code
    return Outcome(data, text, exit_code)


def _refuse_strangers(verb: str, options: Mapping[str, Any]) -> None:
    """Options that mean nothing with this verb are a misunderstanding, and would be worse left unnoticed."""
    if (options["owner"] is not None) != (verb == "assign-owner"):
        raise UnusableInput("Say `assign-owner ID… --owner UUID`; the other verbs take no --owner.")
    if verb != "list" and any(options[name] is not None for name in ("status", "limit")):
        raise UnusableInput("--status and --limit belong to `list`; decisions name their ids, or a code.")
    if options["ids"] and verb == "list":
        raise UnusableInput("`quarantine list` takes no ids.")
    if options["ids"] and options["code"] is not None:
        raise UnusableInput("Name ids or a code, not both.")


def _data(shown: Listing) -> dict[str, Any]:
    return {"open": shown.open, "accepted": shown.accepted, "items": [asdict(item) for item in shown.items]}


def _text(shown: Listing) -> tuple[Any, ...]:
    waiting = f"{some(shown.open, 'row')} {'waits' if shown.open == 1 else 'wait'} for a decision"
    accepted = f"{shown.accepted:,} {'is' if shown.accepted == 1 else 'are'} accepted"
    summary = f"{waiting}, {accepted}.{' What is accepted stays in legacy alone.' if shown.accepted else ''}"
    if not shown.items:
        return (summary,)
    rows = Rows("id", "row", "status", "code", "what is wrong", prose=("what is wrong",))
    for item in shown.items:
        message = item.message if item.source is None else f"{item.message} ({item.source})"
        rows.add(str(item.id), str(item.row), item.status, item.code, message)
    return (rows, summary)
