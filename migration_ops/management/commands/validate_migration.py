"""`manage.py validate_migration`: compare both stores cell by cell, report, and repair if asked."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from migration_ops import run_requests
from migration_ops.backfill import background as waking
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.management import comparing
from migration_ops.management.base import OperatorCommand, Outcome, Partial
from migration_ops.management.comparison import progress
from migration_ops.models import RunKind
from migration_ops.sync import source as sources
from migration_ops.verify import background
from migration_ops.verify.validation import empty_summary, validate

ASKED = {"pause": run_requests.PAUSE, "cancel": run_requests.CANCEL}
"""What the verbs other than `start` ask of a validation that workers of the queue are at."""

ALONE = ("sample", "source", "seed", "report", "repair", "delete_extras", "dry_run")
"""Options of a validation in the foreground."""


class Command(OperatorCommand):
    """Prove that both stores hold the same, or say what differs."""

    help = "Compare the legacy and the modern store cell by cell; optionally report and repair."
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", choices=("start", *ASKED), default="start", help="default: start")
        comparing.add_options(parser, sample="compare N random ones only (default: everything)")
        parser.add_argument("--queue", action="store_true", help="let workers of the queue do it; return at once")
        parser.add_argument("--source", metavar="FILE", help="compare with this JSON file instead of the legacy store")
        parser.add_argument(
            "--delete-extras", action="store_true", help="with --repair: also remove what the authority does not have"
        )

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        if options["verb"] in ASKED:
            return _asked(migration, options)
        if options["queue"]:
            return _queued(migration, options)
        if options["source"] is not None:
            migration = sources.beside(migration, sources.name_of(migration, options["source"]))
        if options["dry_run"] and not options["repair"]:
            raise UnusableInput("--dry-run says how to repair; add --repair.")
        comparing.refuse_nonsense(options, everything="leave --sample out for everything")
        partial.data.update(empty_summary(migration))
        with progress() as told:
            validation = validate(
                migration,
                actor=options["actor"],
                sample=options["sample"],
                seed=options["seed"],
                keep=not options["dry_run"],
                progress=told,
            )
        return comparing.outcome(validation, options, partial)


def _queued(migration: AnyMigration, options: dict[str, Any]) -> Outcome:
    if given := _given(options, ALONE):
        raise UnusableInput(f"--queue is for a full validation alone; leave {given} out, or do it in the foreground.")
    run, woken = background.start(migration, actor=options["actor"], reason=options["reason"])
    problem = waking.problem(migration, woken)
    data = {
        **empty_summary(migration),
        "differences": [],
        "run": run.pk,
        "status": run.status,
        "queued": True,
        "problem": problem,
    }
    told = f"Validation {run.pk} is left to the workers; `manage.py migration_status` says what it found. {problem}"
    return Outcome(data, (told.strip(),))


def _asked(migration: AnyMigration, options: dict[str, Any]) -> Outcome:
    if given := _given(options, ("queue", *ALONE)):
        raise UnusableInput(f"{given} is for `validate_migration start`, not for {options['verb']}.")
    what = ASKED[options["verb"]]
    run = run_requests.ask(migration, RunKind.VALIDATION, what, actor=options["actor"], reason=options["reason"])
    obeyed = run_requests.wait_until_obeyed(run, what, seconds=run_requests.OBEYED)
    data = {**empty_summary(migration), "differences": [], "run": run.pk, "status": run.status}
    if obeyed:
        return Outcome(data, (f"Validation {run.pk} is {run.status}.",))
    told = f"Validation {run.pk} is asked to {what}, and does after the chunk at hand."
    return Outcome(data, (told,))


def _given(options: dict[str, Any], names: tuple[str, ...]) -> str:
    """The first of these options that somebody gave; "" for none."""
    given = (name for name in names if options[name] not in (None, False, []))
    return next((f"--{name.replace('_', '-')}" for name in given), "")
