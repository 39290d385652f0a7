"""`sync_changes`: carry captured changes over to the other store, once or for as long as it runs."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from migration_ops.backfill.stop import on_signals
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, UnusableInput
from migration_ops.management.base import OperatorCommand, Outcome, Partial, ended_by
from migration_ops.management.presentation import some
from migration_ops.sync import applier, dirty
from migration_ops.sync.applier_loop import ApplierLoop


class Command(OperatorCommand):
    help = (
        "Carry changes that went past the app over to the other store: what is waiting now, or with --follow for ever."
    )

    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("--follow", action="store_true", help="stay, and apply each change as it comes")
        parser.add_argument("--max-seconds", type=_seconds, metavar="S", help="with --follow: end after so long")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        partial.data |= {"applied": 0, "failed": 0, "remaining": dirty.remaining(migration), "lag_p95_ms": None}
        if options["dry_run"]:
            return _would(migration, options)
        if not options["follow"]:
            with transaction.atomic():
                dirty.retry_now(migration)
            return _outcome(applier.drain(migration))
        with on_signals() as stop:
            done = ApplierLoop(migration, stop=stop, say=self.stderr.write).run(seconds=options["max_seconds"])
        outcome = _outcome(done)
        if stop.requested:
            partial.data |= outcome.data
            raise ended_by(stop)
        return outcome


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ArgumentTypeError(f"{text!r} is no positive number of seconds")
    return seconds


def _would(migration: AnyMigration, options: Mapping[str, Any]) -> Outcome:
    if options["follow"]:
        raise UnusableInput("--dry-run says what waits now; it cannot be combined with --follow.")
    applier.refuse_unless_synced(migration)
    waiting = dirty.remaining(migration)
    data = {"applied": 0, "failed": 0, "remaining": waiting, "lag_p95_ms": None, "dry_run": True}
    return Outcome(data, (f"Would try {some(waiting, 'change')}, {dirty.failing(migration):,} of them again.",))


def _outcome(done: applier.Applied) -> Outcome:
    p95 = applier.lag_p95(done.lags)
    data = {
        "applied": done.applied,
        "failed": done.failed,
        "remaining": done.remaining,
        "lag_p95_ms": None if p95 is None else round(p95, 1),
    }
    lag = "" if p95 is None else f" 95 % of them within {p95:,.0f} ms."
    text = f"{some(done.applied, 'change')} applied, {done.failed:,} failed, {done.remaining:,} remaining.{lag}"
    return Outcome(data, (text,), ExitCode.FAILED if done.failed else ExitCode.DONE)
