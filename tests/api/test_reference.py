"""docs/reference/api.md says what the OpenAPI document and the code say."""

from __future__ import annotations

import re
from pathlib import Path

from habits.api import api, problems
from habits.api.problems import Problem
from migration_ops.rollout.routing import Reason

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md").read_text()


def test_every_call_is_documented_with_what_it_answers() -> None:
    document = api.get_openapi_schema(path_prefix="/api/")
    declared = {
        (method.upper(), path): {int(status) for status in call["responses"] if int(status) < 400}
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    }
    documented = {
        (method, path): {int(status) for status in answers.split(", ")}
        for method, path, answers in re.findall(r"^\| `([A-Z]+) (/api/\S+)` \| .* \| ([\d, ]+) \|$", PAGE, re.MULTILINE)
    }
    assert documented == declared


def test_every_problem_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)
    known = {(str(each.status), each.code) for each in vars(problems).values() if isinstance(each, Problem)}
    assert set(documented) == known
    assert len(documented) == len(known)
    assert documented == sorted(documented, key=lambda row: row[0])


def test_every_reason_of_a_store_is_documented() -> None:
    (reasons,) = re.findall(r"`X-Served-Reason` why \(([^)]*)\)", PAGE)
    assert re.findall(r"`(\w+)`", reasons) == list(Reason)
