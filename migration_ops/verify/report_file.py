"""Writes a report to a file: whole or not at all, in memory that does not grow with the number of differences."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from django.template.loader import get_template

from migration_ops import moment
from migration_ops.exceptions import UnusableInput
from migration_ops.verify.report import Report

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins like this for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""

_DIFFERENCES = "<!-- differences -->"
_CONFLICTS = "<!-- conflicts -->"


def check(path: Path) -> None:
    """Find out before any work is done whether a report can be written there.

    Raises:
        UnusableInput: the suffix is none of .json, .html and .csv, or nothing can be written there.
    """
    if path.suffix.lower() not in _WRITERS:
        raise UnusableInput(f"{path}: a report is a .json, .html or .csv file.")
    if path.is_dir():
        raise UnusableInput(f"{path} is a folder.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UnusableInput(f"No report can be written to {path}: {error.strerror}.") from error


def write(path: Path, report: Report) -> None:
    """Write the report in the format the suffix names; an older file there stays until the new one is whole.

    Raises:
        UnusableInput: nothing can be written there.
    """
    try:
        with _replacing(path) as file:
            _WRITERS[path.suffix.lower()](report, file)
    except OSError as error:
        raise UnusableInput(f"The report could not be written to {path}: {error.strerror}.") from error


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _write_json(report: Report, file: TextIO) -> None:
    head = {
        **report.as_json(),
        "verdict": report.verdict(),
        "migration": report.migration.name,
        "started_at": report.validation.run.started_at.isoformat(),
        "ended_at": report.validation.ended_at.isoformat(),
        "quarantine": report.quarantine(),
    }
    file.write(json.dumps(head, ensure_ascii=False, indent=1, default=str).removesuffix("\n}"))
    _write_list("conflicts", report.conflicts(), file)
    _write_list("differences", report.differences(), file)
    file.write("\n}\n")


def _write_list(name: str, items: Iterable[dict[str, Any]], file: TextIO) -> None:
    file.write(f",\n {json.dumps(name)}: [")
    for number, item in enumerate(items):
        file.write(("," if number else "") + "\n  " + json.dumps(item, ensure_ascii=False, default=str))
    file.write("\n ]")


def _write_csv(report: Report, file: TextIO) -> None:
    """One line a field; a document that a store lacks has one line without a field."""
    writer = csv.writer(file)
    parts: list[str] | None = None
    columns = ["id", "severity", "kind", "status", "dirty", "path", "legacy", "modern"]
    for difference in report.differences():
        key = {name: value for name, value in difference.items() if name not in {*columns, "fields"}}
        if parts is None:
            parts = list(key)
            writer.writerow([*parts, *columns])
        facts = [difference[name] for name in columns[:4]]
        line = [*key.values(), *facts, difference.get("dirty", False)]
        for field in difference["fields"] or [{"path": "", "legacy": None, "modern": None}]:
            values = [*line, field["path"], field["legacy"], field["modern"]]
            writer.writerow([_cell(value) for value in values])
    if parts is None:
        writer.writerow(columns)


def _cell(value: Any) -> str:
    """As text; what a spreadsheet would take for a formula gets an apostrophe in front."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f"'{text}" if text.startswith(FORMULA) else text


def _write_html(report: Report, file: TextIO) -> None:
    validation = report.validation
    page = get_template("migration_ops/report.html").render(
        {
            "report": report,
            "tally": validation.tally,
            "validation": validation,
            "verdict": report.verdict(),
            "tone": {0: "good", 3: "good", 1: "unsure"}.get(int(report.exit_code), "bad"),
            "started_at": moment.shown(validation.run.started_at),
            "ended_at": moment.shown(validation.ended_at),
            "quarantine": report.quarantine(),
            "has_conflicts": any(True for _ in report.conflicts()),
        }
    )
    head, _, rest = page.partition(_DIFFERENCES)
    middle, _, tail = rest.partition(_CONFLICTS)
    file.write(head)
    _write_rows("migration_ops/report_difference.html", report.differences(), file)
    file.write(middle)
    _write_rows("migration_ops/report_conflict.html", report.conflicts(), file)
    file.write(tail)


def _write_rows(template: str, items: Iterable[dict[str, Any]], file: TextIO) -> None:
    row = get_template(template)
    facts = {"id", "severity", "kind", "fields", "status", "dirty", "rows", "conflicts"}
    for item in items:
        key = {name: value for name, value in item.items() if name not in facts}
        file.write(row.render({"key": key, "item": item}))


_WRITERS: dict[str, Callable[[Report, TextIO], None]] = {
    ".json": _write_json,
    ".html": _write_html,
    ".csv": _write_csv,
}
