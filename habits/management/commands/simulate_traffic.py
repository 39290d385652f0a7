"""`manage.py simulate_traffic`"""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from rich.table import Table

from habits.traffic import families, ledger
from habits.traffic.over_http import OverHttp
from habits.traffic.report import Report
from habits.traffic.run import Run, ledger_file, new_run, parties, proven, would_check
from habits.traffic.schedule import Profile
from migration_ops.backfill.stop import on_signals
from migration_ops.exceptions import ExitCode, UnusableInput
from migration_ops.management.base import OperatorCommand, Outcome, Partial, ended_by
from migration_ops.management.presentation import some
from migration_ops.management.rows import Rows
from migration_ops.observe import metrics

_SHOWN = ("writes", "reads", "failures", "unsent", "p50_ms", "p95_ms", "checked", "lost", "mismatched", "stale_reads")


class Command(OperatorCommand):
    help = (
        "Read and write boards as families do, so many requests a second, and prove in the end that every write that"
        " was acknowledged is in both stores. It only adds lines of its own to boards, marks those, and takes them off"
        " again. Exit code 5: something is lost, doubled, different, or was read stale; then everything stays as it is."
    )

    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("--rate", type=_number(most=5_000), default=20, metavar="R", help="requests a second (20)")
        parser.add_argument("--seconds", type=_number(most=3_600), default=10, metavar="S", help="for how long (10)")
        parser.add_argument("--owners", type=_count(most=10_000), default=10, metavar="N", help="families (10)")
        parser.add_argument("--write-percent", type=_percent, default=20, metavar="P", help="share of writes (20)")
        parser.add_argument(
            "--append-percent", type=_percent, default=30, metavar="P", help="share of the writes that add lines (30)"
        )
        parser.add_argument("--concurrency", type=_count(most=64), default=8, metavar="N", help="at a time (8)")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="decides which requests (1)")
        parser.add_argument(
            "--settle", type=_number(most=600), default=10, metavar="S", help="so long the stores may take to rest (10)"
        )
        parser.add_argument(
            "--url", metavar="URL", help="through the web app at this loopback address, with families of its own"
        )
        parser.add_argument("--make-owners", action="store_true", help="with families of its own, removed at the end")
        parser.add_argument("--keep", action="store_true", help="leave lines, families and the ledger there")
        parser.add_argument("--check", type=Path, metavar="FILE", help="only check the ledger of a run that was killed")
        parser.add_argument("--remove-owners", action="store_true", help="only remove families that earlier runs made")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        if options["remove_owners"]:
            return _removed(dry_run=options["dry_run"])
        report = Report()
        leaving = {"keep": options["keep"], "settle": timedelta(seconds=options["settle"])}
        partial.data |= report.as_json()
        if options["check"] is not None:
            book = ledger.read(options["check"])
            if options["dry_run"]:
                return _would_check(report, book)
            proven(report, book, file=options["check"], **leaving)
            return _outcome(report)
        profile = Profile(
            options["rate"], options["seconds"], options["write_percent"], options["append_percent"], options["seed"]
        )
        if profile.requests > Profile.MOST:
            raise UnusableInput(f"{profile.requests:,} requests are more than one run keeps in mind: {Profile.MOST:,}.")
        if options["dry_run"]:
            return _would(report, profile, options)
        name = new_run()
        make_owners = options["make_owners"] or options["url"] is not None
        with on_signals() as stop:
            driver, found = parties(
                options["owners"], url=options["url"], make=make_owners, run=name, seed=options["seed"]
            )
            report.families(found)
            file = ledger_file(name)
            book = ledger.Ledger(name, file)
            run = Run(driver, found, book)
            with metrics.flushing():
                seconds = run.send(profile, threads=options["concurrency"], stop=stop)
            book.close()
            report.sent(run.tally, profile, seconds)
            partial.data |= report.as_json()
        proven(report, book, file=file, **leaving)
        if make_owners and not options["keep"] and not report.different:
            families.remove_made(name)
        if stop.requested:
            partial.data |= report.as_json()
            raise ended_by(stop)
        return _outcome(report)


def _removed(*, dry_run: bool) -> Outcome:
    removed = families.count_made() if dry_run else families.remove_made()
    said = "would be removed" if dry_run else "removed"
    return Outcome({"removed": removed}, (f"{some(removed, 'family', 'families')} that earlier runs made {said}.",))


def _would(report: Report, profile: Profile, options: dict[str, Any]) -> Outcome:
    report.owners, report.unsent = options["owners"], profile.requests
    if options["url"] is not None:
        OverHttp(options["url"])
    elif not options["make_owners"]:
        report.families(families.existing(options["owners"], seed=options["seed"]))
    sentence = (
        f"Would send {some(profile.requests, 'request')} in {profile.seconds:g} s"
        f" for {some(report.owners, 'family', 'families')}."
    )
    return Outcome({**report.as_json(), "dry_run": True}, (sentence,))


def _would_check(report: Report, book: ledger.Ledger) -> Outcome:
    """A check lets the stores come to rest first, and that writes; so all there is to say is what it would look for."""
    report.run = book.run
    report.checked = would_check(book)
    writes = some(report.checked.writes, "acknowledged write")
    sentence = f"Would look for {writes} of run {book.run}, and take its lines off the boards."
    return Outcome({**report.as_json(), "dry_run": True}, (sentence,))


def _outcome(report: Report) -> Outcome:
    data = report.as_json()
    table = Table(title="Traffic", show_header=False)
    for name in _SHOWN:
        table.add_row(name.replace("_", " "), "" if data[name] is None else f"{data[name]:,}")
    faults = Rows("fault", "line", "owner", "child", "week", "where", title="What is wrong")
    for found in data["findings"]:
        place = (found["owner"], found["child"], found["week_start"], found["path"])
        faults.add(found["fault"], found["name"], *place)
    sentences = " ".join(report.sentences())
    shown = (table, faults, sentences) if data["findings"] else (table, sentences)
    if report.different:
        return Outcome(data, shown, ExitCode.DIFFERENT)
    return Outcome(data, shown, ExitCode.FAILED if report.failed else ExitCode.DONE)


def _number(*, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number <= most:
            raise ArgumentTypeError(f"{text!r} is no number above 0 and up to {most:,}")
        return number

    return read


def _count(*, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() else 0
        if not 1 <= number <= most:
            raise ArgumentTypeError(f"{text!r} is no whole number from 1 to {most:,}")
        return number

    return read


def _percent(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 100:
        raise ArgumentTypeError(f"{text!r} is no percentage from 0 to 100")
    return number
