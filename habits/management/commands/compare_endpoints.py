"""`manage.py compare_endpoints`"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from habits.endpoint_comparison import Report, compare
from habits.endpoint_comparison.report import BOUND, GOAL
from migration_ops.exceptions import ExitCode
from migration_ops.management.base import OperatorCommand, Outcome, Partial
from migration_ops.management.presentation import some
from migration_ops.management.rows import Rows

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


def _shown(report: Report) -> tuple[Rows | str, ...]:
    data = report.as_json()
    shown = [_times(data)]
    if data["differences"]:
        places = Rows("GET", "owner", "child", "week", "place", "legacy", "modern", title="What differs")
        for found in data["differences"]:
            for place in found["places"]:
                where = (found["endpoint"], found["owner"], found["child"] or "", found["week_start"] or "")
                places.add(*where, place["path"], place["legacy"], place["modern"])
        shown.append(places)
    if data["exceptions"]:
        waiting = Rows("owner", "child", "week", "calls", title="Boards that may differ", numbers=("calls",))
        for key in data["exceptions"]:
            waiting.add(key["owner"], key["child"], key["week_start"], f"{key['calls']:,}")
        shown.append(waiting)
    return (*shown, *_sentences(data))


def _times(data: Mapping[str, Any]) -> Rows:
    counts = {"calls": "calls", "equal": "equal", "different": "different", "may differ": "excepted"}
    names = {
        "legacy p50 ms": "legacy_p50_ms",
        "legacy p95 ms": "legacy_p95_ms",
        "modern p50 ms": "modern_p50_ms",
        "modern p95 ms": "modern_p95_ms",
        "p95 ratio": "ratio",
    }
    verdicts = {f"ratio ≤ {BOUND:g}": "bound_met", f"ratio ≤ {GOAL:g}": "goal_met"}
    numbers = (*counts, *names, *verdicts)
    rows = Rows("GET", *numbers, title=f"Asked for {some(data['families'], 'family', 'families')}", numbers=numbers)
    for each in data["endpoints"]:
        figures = ["" if each[name] is None else f"{each[name]:.2f}" for name in names.values()]
        said = ["" if each[name] is None else "yes" if each[name] else "no" for name in verdicts.values()]
        rows.add(each["endpoint"], *(f"{each[name]:,}" for name in counts.values()), *figures, *said)
    return rows


def _sentences(data: Mapping[str, Any]) -> Iterator[str]:
    if data["excepted"]:
        verb = "counts" if data["excepted"] == 1 else "count"
        yield (
            f"{some(data['excepted'], 'answer')} {verb} neither as equal nor as different: a change of a board in it"
            " still waits to be carried over, or a row of one waits in quarantine for a decision. Until then legacy"
            " answers for that board."
        )
    yield f"Only modern has these, so there was nothing to compare: {', '.join(data['modern_only'])}."


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= _MOST:
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 to {_MOST:,}")
    return number
