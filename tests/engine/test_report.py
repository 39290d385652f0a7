"""Reports: whole lists, in files that a person, a machine or a spreadsheet reads."""

from __future__ import annotations

import csv
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from migration_ops.definition import AnyMigration
from migration_ops.models import MergeRecord, Run
from migration_ops.verify.report_file import _cell
from tests.engine.syncing import run
from tests.engine.validating import command, copy_over, fill, validate_json
from tests.notes import schema


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.MIGRATION_OPS = {
        "SUSPECT_PATIENCE": timedelta(milliseconds=30),
        "SUSPECT_ROUNDS": 2,
        "REPORT_DIFFERENCES": 3,
    }


@pytest.fixture
def damaged(notes: AnyMigration) -> AnyMigration:
    fill(12)
    schema.add_rows(("<script>alert(1)</script>", "=cmd|' /C calc'!A0", "<b>bold</b>"), (None, "nobody's", "x"))
    copy_over(notes)
    run("UPDATE modern_notes SET lines = '{other,more}'")
    return notes


class _Page(HTMLParser):
    """The tags of a page and all of its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_file_has_all_differences_and_the_terminal_the_first(damaged: AnyMigration, tmp_path: Path) -> None:
    target = tmp_path / "report.json"

    code, data = validate_json("--report", str(target))

    assert (code, len(data["differences"]), data["difference_count"]) == (5, 3, 13)
    written = json.loads(target.read_text())
    assert len(written["differences"]) == 13
    assert written["verdict"]
    assert written["quarantine"] == [{"code": "notebook_missing", "open": 1, "accepted": 0}]
    assert {name: written[name] for name in ("mismatched", "complete", "cells")} == {
        name: data[name] for name in ("mismatched", "complete", "cells")
    }
    assert written["started_at"] < written["ended_at"]


def test_markup_in_names_is_shown_as_text(damaged: AnyMigration, tmp_path: Path) -> None:
    target = tmp_path / "report.html"

    with translation.override("en"):
        command("validate_migration", "--report", str(target))

    page = _Page(target.read_text())
    assert "<script>alert(1)</script>" in page.text
    assert "<b>bold</b>" in page.text
    assert "script" not in page.tags
    assert "13 notes differ between the two stores." in page.text
    assert page.text.count("Different on the two sides.") == 13
    assert "notebook_missing" in page.text


def test_the_page_needs_nothing_from_elsewhere(damaged: AnyMigration, tmp_path: Path) -> None:
    target = tmp_path / "report.html"

    command("validate_migration", "--report", str(target))

    page = _Page(target.read_text())
    assert not {"link", "img", "script", "iframe"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in {"src", "href"}]
    text = target.read_text()
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    assert ("http-equiv", "Content-Security-Policy") in page.attributes
    assert not re.search(r"{[{%]", text)


def test_merges_whose_rows_disagreed_are_listed(notes: AnyMigration, tmp_path: Path) -> None:
    fill(1)
    schema.add_rows(("home", "n0000", "newer"))
    copy_over(notes)
    MergeRecord.objects.update(conflicts=[{"path": "lines[0]", "kept": "newer", "dropped": "<i>old", "row": "1"}])

    code, _, _ = command(
        "validate_migration", "--report", str(tmp_path / "r.html"), "--report", str(tmp_path / "r.json")
    )

    assert code == 0
    assert "<i>old" in _Page((tmp_path / "r.html").read_text()).text
    assert json.loads((tmp_path / "r.json").read_text())["conflicts"][0]["conflicts"][0]["dropped"] == "<i>old"


def test_a_spreadsheet_has_a_line_a_field_and_takes_nothing_for_a_formula(
    damaged: AnyMigration, tmp_path: Path
) -> None:
    run("DELETE FROM modern_notes WHERE title = 'n0000'")
    target = tmp_path / "report.csv"

    command("validate_migration", "--report", str(target))

    with target.open(newline="") as file:
        lines = list(csv.DictReader(file))
    columns = ["notebook", "title", "id", "severity", "kind", "status", "dirty", "path", "legacy", "modern"]
    assert list(lines[0]) == columns
    assert len(lines) == 12 * 2 + 1
    assert [line["kind"] for line in lines if line["title"] == "n0000"] == ["missing_in_modern"]
    formula = [line for line in lines if "cmd" in line["title"]]
    assert len(formula) == 2
    assert formula[0]["title"] == "'=cmd|' /C calc'!A0"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1"])
def test_whatever_begins_a_formula_gets_an_apostrophe(text: str) -> None:
    assert _cell(text) == f"'{text}"


@pytest.mark.parametrize("name", ["report.txt", "report", "nowhere/report.json"])
def test_a_report_that_cannot_be_written_is_bad_usage_before_anything_runs(
    notes: AnyMigration, tmp_path: Path, name: str
) -> None:
    code, data = validate_json("--report", str(tmp_path / name))

    assert code == 2
    assert name in data["error"]
    assert not Run.objects.exists()


def test_an_older_report_stays_until_the_new_one_is_whole(
    notes: AnyMigration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(2)
    copy_over(notes)
    target = tmp_path / "report.json"
    target.write_text("older")
    monkeypatch.setattr("migration_ops.verify.report.Report.quarantine", lambda self: [][1])

    with pytest.raises(IndexError):
        command("validate_migration", "--report", str(target))

    assert target.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_report_of_equal_stores_says_so(notes: AnyMigration, tmp_path: Path) -> None:
    fill(2)
    copy_over(notes)
    names = [str(tmp_path / f"report.{suffix}") for suffix in ("json", "html", "csv")]

    with translation.override("en"):
        code, _, _ = command("validate_migration", *(part for name in names for part in ("--report", name)))

    assert code == 0
    assert json.loads(Path(names[0]).read_text())["differences"] == []
    assert "Every one of 2 marks in 2 notes is where it should be." in _Page(Path(names[1]).read_text()).text
    assert len(Path(names[2]).read_text().splitlines()) == 1


def test_a_dry_run_writes_its_report_too(damaged: AnyMigration, tmp_path: Path) -> None:
    target = tmp_path / "report.json"

    code, _ = validate_json("--repair", "--dry-run", "--report", str(target))

    assert code == 5
    assert len(json.loads(target.read_text())["differences"]) == 13
    assert not Run.objects.exists()
