"""`manage.py detect_drift`: compare what was touched and a random sample; see, explain and repair what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, UnusableInput
from migration_ops.management import comparing
from migration_ops.management.base import Outcome, Partial
from migration_ops.management.comparison import progress
from migration_ops.management.numbered import NumberedCommand
from migration_ops.management.rows import Rows
from migration_ops.models import UNSETTLED, Difference, Severity
from migration_ops.verify import difference_listing, differences
from migration_ops.verify.drift import detect, empty_particulars
from migration_ops.verify.repair import Repair
from migration_ops.verify.validation import empty_summary

_OF_RUN = ("sample", "seed", "repair", "report")
_OF_LIST = ("status", "severity", "limit")
_WITH_IDS = ("look", "explain", "reopen", "repair")


class Command(NumberedCommand):
    """`detect_drift [run|list|look ID…|explain ID…|reopen ID…|repair ID…]`; ids are those that `list` shows."""

    help = "Compare what was touched since the last time and a random sample; explain or repair what differs."
    listed_by = "detect_drift list"
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", default="run", choices=["run", "list", *_WITH_IDS])
        parser.add_argument("ids", nargs="*", metavar="ID", help="differences to do something about")
        comparing.add_options(parser, sample="compare N random ones as well (default: 3,000)", only="run")
        parser.add_argument(
            "--delete-extras",
            action="store_true",
            help="with --repair or `repair`: also remove what the authority does not have",
        )
        parser.add_argument(
            "--status", choices=list(difference_listing.STATUSES), help="list: those that are there by default"
        )
        parser.add_argument("--severity", choices=Severity.values, help="list: only those of this severity")
        parser.add_argument("--limit", type=int, metavar="N", help="list: at most so many (default: 100)")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        verb = options["verb"]
        ids = self.numbers(options)
        _refuse_strangers(verb, options)
        if verb == "run":
            return _run(migration, options, partial)
        if verb == "list":
            limit, wanted = options["limit"], options["severity"]
            found = difference_listing.listing(
                migration,
                statuses=difference_listing.STATUSES[options["status"] or "standing"],
                severities=[wanted] if wanted else [],
                limit=difference_listing.SHOWN if limit is None else limit,
            )
            return Outcome(found.as_json(), _listed(migration, found.items))
        if verb == "repair":
            return _repair(migration, ids, options)
        return _decided(migration, verb, _decide(migration, verb, ids, options), dry_run=options["dry_run"])


def _run(migration: AnyMigration, options: Mapping[str, Any], partial: Partial) -> Outcome:
    comparing.refuse_nonsense(options, everything="`validate_migration` compares all")
    partial.data.update(empty_summary(migration) | empty_particulars())
    with progress() as told:
        drift = detect(
            migration,
            actor=options["actor"],
            sample=options["sample"],
            seed=options["seed"],
            keep=not options["dry_run"],
            progress=told,
        )
    return comparing.outcome(drift, options, partial)


def _repair(migration: AnyMigration, ids: list[int], options: Mapping[str, Any]) -> Outcome:
    extras = options["delete_extras"]
    if options["dry_run"]:
        planned = differences.planned_repair(migration, ids, delete_extras=extras)
        return _repaired(migration, planned.would, dry_run=True)
    done = differences.repair(migration, ids, actor=options["actor"], reason=options["reason"], delete_extras=extras)
    return _repaired(migration, done, dry_run=False)


def _repaired(migration: AnyMigration, done: Repair, *, dry_run: bool) -> Outcome:
    data = {
        "repaired": 0 if dry_run else done.changed,
        "would_repair": done.changed if dry_run else 0,
        "gone": done.gone,
        "extras_kept": done.kept,
        "repair_failed": len(done.failed),
        "repair_failures": [
            {**migration.describe_key(migration.decode_key(each.key)), "error": each.message} for each in done.failed
        ],
    }
    would = "Would write" if dry_run else "Written"
    lines = [
        f"{would} {done.saved:,}, removed {done.deleted:,} in the {done.side.value} store; {done.gone:,} equal by now,"
        f" {done.kept:,} extras kept (--delete-extras removes them), {len(done.failed):,} failed."
    ]
    lines += [f"  {each.key}: {each.message}" for each in done.failed]
    return Outcome(data, tuple(lines), ExitCode.DIFFERENT if done.left or dry_run else ExitCode.DONE)


def _decide(migration: AnyMigration, verb: str, ids: list[int], options: Mapping[str, Any]) -> list[Difference]:
    actor, reason, dry_run = options["actor"], options["reason"], options["dry_run"]
    if verb == "look":
        return differences.planned_look(migration, ids) if dry_run else differences.look_again(migration, ids)
    if verb == "explain":
        if dry_run:
            differences.refuse_unless_explained(reason)
            return differences.planned_explanation(migration, ids)
        return differences.explain(migration, ids, actor=actor, reason=reason)
    if dry_run:
        return differences.planned_reopening(migration, ids)
    return differences.reopen(migration, ids, actor=actor, reason=reason)


def _decided(migration: AnyMigration, verb: str, found: list[Difference], *, dry_run: bool) -> Outcome:
    words = {"look": "looked again at", "explain": "explained", "reopen": "reopened"}
    would = "Would have" if dry_run else "Have"
    data = {"items": [difference_listing.as_json(migration, each) for each in found]}
    there = verb == "look" and any(each.status in UNSETTLED for each in found)
    text = (f"{would} {words[verb]} {len(found):,} differences.", *_listed(migration, found))
    return Outcome(data, text, ExitCode.DIFFERENT if there else ExitCode.DONE)


def _listed(migration: AnyMigration, found: list[Difference]) -> tuple[Any, ...]:
    if not found:
        return ("There are none.",)
    rows = Rows("id", "severity", "status", "kind", "what", "explained", prose=("explained",))
    for each in found:
        said = difference_listing.as_json(migration, each)
        what = migration.key_in_words(migration.decode_key(each.key))
        why = f"{said['explained_by']}: {said['explanation']}" if said["explanation"] else ""
        rows.add(str(each.pk), each.severity, each.status, each.kind, what, why)
    return (rows,)


def _refuse_strangers(verb: str, options: Mapping[str, Any]) -> None:
    """Options that mean nothing with this verb are a misunderstanding, and would be worse left unnoticed."""
    for names, mine in ((_OF_RUN, "run"), (_OF_LIST, "list")):
        strange = [name for name in names if options[name] not in (None, False, []) and verb != mine]
        if strange:
            raise UnusableInput(f"--{strange[0]} belongs to `detect_drift {mine}`.")
    if options["delete_extras"] and verb not in ("run", "repair"):
        raise UnusableInput("--delete-extras says how to repair.")
    if options["ids"] and verb not in _WITH_IDS:
        raise UnusableInput(f"`detect_drift {verb}` takes no ids.")
