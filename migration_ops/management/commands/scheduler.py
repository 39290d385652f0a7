"""`manage.py scheduler`: what is due is put into the queue, and runs in the background go on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from migration_ops import alerts, scheduler
from migration_ops.backfill.stop import on_signals
from migration_ops.exceptions import ExitCode
from migration_ops.management.base import OperatorCommand, Outcome, Partial, ended_by


class Command(OperatorCommand):
    help = (
        "Put what is due into the queue, and wake workers for runs in the background that nobody works on; for ever, or"
        " with --once a single time. Several of them do everything once."
    )

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="look once and end; exit code 1 if Redis is away")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        if options["once"]:
            done = scheduler.tick()
            alerts.make_round()
            return _outcome(done)
        partial.data |= _outcome(scheduler.Tick()).data
        with on_signals() as stop:
            scheduler.follow(stop=stop, say=self.stderr.write, beside=alerts.Rounds().make_if_due)
        raise ended_by(stop)


def _outcome(done: scheduler.Tick) -> Outcome:
    data = {"queued": done.queued, "woken": done.woken, "problems": done.problems}
    sentences = [f"Put into the queue: {', '.join(done.queued) or 'nothing'}."]
    sentences += [f"Run {run}: {workers} workers woken." for run, workers in done.woken.items()]
    text = " ".join([*sentences, *done.problems])
    return Outcome(data, (text,), ExitCode.FAILED if done.problems else ExitCode.DONE)
