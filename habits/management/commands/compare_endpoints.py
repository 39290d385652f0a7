"""`manage.py compare_endpoints`"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser
from rich.table import Table

from habits.endpoint_comparison import Report, compare
from habits.endpoint_comparison.report import BOUND, GOAL
from migration_ops.exceptions import ExitCode
from migration_ops.management.base import OperatorCommand, Outcome, Partial

_MOST = 100_000


class Command(OperatorCommand):
    help = (
        "Ask every call of the API that reads from both stores, for a sample of families: whether the answers are the"
        " same bytes, and which store is faster. Writes nothing. Exit code 5: answers differ."
    )

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("--families", type=_count, default=10, metavar="N", help="how many families (10)")
        parser.add_argument("--repeat", type=_count, default=3, metavar="N", help="how often each call is made (3)")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="decides which families (1)")

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        report = Report()
        try:
            compare(report, families=options["families"], repeat=options["repeat"], seed=options["seed"])
        finally:
            partial.data |= report.as_json()
        return Outcome(partial.data, _shown(report), ExitCode.DIFFERENT if report.different else ExitCode.DONE)


def _shown(report: Report) -> tuple[Table | str, ...]:
    data = report.as_json()
    times = Table("GET", "calls", "equal", "different", "excepted", title=f"{report.families:,} families")
    for title in ("legacy p50", "p95", "modern p50", "p95", "ratio", f"≤ {BOUND:g}", f"≤ {GOAL:g}"):
        times.add_column(title, justify="right")
    for each in data["endpoints"]:
        counts = [f"{each[name]:,}" for name in ("calls", "equal", "different", "excepted")]
        names = ("legacy_p50_ms", "legacy_p95_ms", "modern_p50_ms", "modern_p95_ms", "ratio")
        figures = ["" if each[name] is None else f"{each[name]:.2f}" for name in names]
        verdicts = ["" if each[name] is None else "yes" if each[name] else "no" for name in ("bound_met", "goal_met")]
        times.add_row(each["endpoint"], *counts, *figures, *verdicts)
    shown: list[Table | str] = [times]
    if data["differences"]:
        places = Table("GET", "owner", "child", "week", "place", "legacy", "modern", title="What differs")
        for found in data["differences"]:
            for place in found["places"]:
                where = (found["endpoint"], found["owner"], found["child"] or "", found["week_start"] or "")
                places.add_row(*where, place["path"], place["legacy"], place["modern"])
        shown.append(places)
    if data["exceptions"]:
        waiting = Table("owner", "child", "week", "calls", title="Boards that wait to be carried over or for a person")
        for key in data["exceptions"]:
            waiting.add_row(key["owner"], key["child"], key["week_start"], f"{key['calls']:,}")
        shown.append(waiting)
    shown.append(f"Modern only, and so left out: {', '.join(data['modern_only'])}.")
    return tuple(shown)


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= _MOST:
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 to {_MOST:,}")
    return number
