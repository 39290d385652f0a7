"""What gates measured, with units: one place knows them, and pages and commands say the same."""

from __future__ import annotations

import io
import re
from html import unescape
from typing import Any

import pytest
from django.core.management import call_command

from migration_ops import gates
from migration_ops.definition import AnyMigration
from migration_ops.gates import Gate, Verdict
from migration_ops.gates.figures import UNITS, figures
from tests.engine.korean import english_in, in_korean, numbers_in
from tests.engine.planting import count
from tests.engine.staff import member, room
from tests.engine.syncing import begin_dual_write, go_to_ramp
from tests.notes import schema


def of(gate_id: str, **said: Any) -> str:
    found = Gate(id=gate_id, verdict=Verdict.FAIL, message="so", **said)
    return ", ".join(f"{name} {value}" for name, value in figures(found.as_dict()))


def test_every_gate_of_the_engine_has_units() -> None:
    assert UNITS.keys() == {*gates.EVALUATORS, "plan_followed"}


@pytest.mark.parametrize(
    ("gate_id", "said", "shown"),
    [
        ("soak_elapsed", {"value": 3_600.0, "threshold": 86_400.0}, "value 60 min, threshold 24 h"),
        ("evaluator_alive", {"value": 0.2, "threshold": 45.0, "age": 0.2}, "value 200 ms, threshold 45 s, age 200 ms"),
        (
            "read_errors",
            {"value": 0.0005, "threshold": 0.001, "bound": 0.00123, "n": 2_000, "k": 1},
            "value 0.05 %, threshold 0.1 %, bound 0.123 %, looked at 2,000 reads, bad ones 1 read",
        ),
        (
            "read_latency",
            {"value": 0.734, "threshold": 1.1, "n": 1},
            "value 0.734 times, threshold 1.1 times, looked at 1 read",
        ),
        (
            "quarantine_decided",
            {"value": 1, "k": 1, "n": 12, "threshold": 0},
            "value 1 row, threshold 0 rows, looked at 12 rows",
        ),
        ("ramp_complete", {"value": 12.5, "threshold": 100.0}, "value 12.5 %, threshold 100 %"),
        ("backfill_complete", {"value": 7}, "value run 7"),
        ("of_others", {"value": 1_234.5, "threshold": True, "n": 3}, "value 1,234, threshold True, looked at 3"),
    ],
)
def test_numbers_have_the_unit_that_the_gate_measures_in(gate_id: str, said: dict[str, Any], shown: str) -> None:
    assert of(gate_id, **said) == shown


@pytest.mark.parametrize("gate_id", UNITS)
def test_units_have_korean_words(gate_id: str) -> None:
    found = Gate(id=gate_id, verdict=Verdict.FAIL, message="", value=3, n=5, k=2, threshold=4, bound=1, age=90)
    for name, value in figures(found.as_dict()):
        assert english_in(f"{in_korean(name)} {in_korean(value)}") == []
        assert numbers_in(in_korean(value)) == numbers_in(value)


def test_the_page_and_the_command_say_the_same_numbers(notes: AnyMigration) -> None:
    schema.add_rows(("garden", "peas", "sow"), (None, "lost", "row"))
    begin_dual_write(notes)
    go_to_ramp(notes, percent=5)
    count(notes, "write", "failed", 3)
    count(notes, "write", "both", 1_000)
    page = unescape(re.sub(r"<[^>]+>", "", member("viewers").get(room(notes)).content.decode()))
    out = io.StringIO()
    call_command("rollout", "status", stdout=out)
    printed = re.sub(r"\s+", " ", out.getvalue().replace("│", " "))
    for said in ("value 0.299 %", "threshold 0.1 %", "looked at 1,003 writes", "bad ones 3 writes"):
        assert said in page
        assert said in printed
