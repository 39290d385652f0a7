"""Samples: what they see, what they prove, and what they are not."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from migration_ops.definition import AnyMigration, Page
from migration_ops.models import Run, RunStatus
from migration_ops.verify.power import power
from tests.engine.syncing import run
from tests.engine.validating import copy_over, fill, validate_json
from tests.peak_memory import run_measured


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 3, "COMPARE_BATCH": 7}


@pytest.mark.parametrize(
    ("compared", "share"), [(1, 0.95), (59, 0.049508), (3_000, 0.000998), (3_001, 0.000998), (1_000_000, 0.000003)]
)
def test_power_is_the_share_that_a_clean_sample_rules_out(compared: int, share: float) -> None:
    said = power(compared)
    assert said is not None
    assert said == pytest.approx(share, abs=5e-7)
    assert (1 - said) ** compared == pytest.approx(0.05)


def test_nothing_compared_proves_nothing() -> None:
    assert power(0) is None


def test_a_clean_sample_says_what_it_proves_and_never_passes_for_a_full_validation(notes: AnyMigration) -> None:
    fill(40)
    copy_over(notes)

    code, data = validate_json("--sample", "20")

    assert (code, data["complete"], data["sample"], data["notes_compared"]) == (0, True, 20, 20)
    assert data["power"] == pytest.approx(power(20))
    recorded = Run.objects.get()
    assert (recorded.result["sample"], recorded.status) == (20, RunStatus.SUCCEEDED)


def test_what_a_sample_proves_is_told_as_elsewhere_and_never_as_more(notes: AnyMigration) -> None:
    fill(40)
    copy_over(notes)
    out = io.StringIO()
    call_command("validate_migration", "--sample", "20", stdout=out)
    # 1 - 0.05 ** (1 / 20) is 0.1391083…
    assert "Had 13.9109 % or more of them differed" in out.getvalue()


def test_a_sample_as_large_as_the_store_finds_every_kind_of_difference(notes: AnyMigration) -> None:
    fill(20)
    copy_over(notes)
    run("UPDATE modern_notes SET lines = '{other}' WHERE title = 'n0003'")
    run("DELETE FROM modern_notes WHERE title = 'n0019'")
    run("INSERT INTO modern_notes (notebook, title, lines) VALUES ('zzz', 'last', '{}')")

    code, data = validate_json("--sample", "1000")

    assert code == 5
    assert (data["mismatched"], data["missing_in_modern"], data["missing_in_legacy"]) == (1, 1, 1)


def test_the_same_seed_chooses_the_same_sample(notes: AnyMigration) -> None:
    fill(60)
    copy_over(notes)
    run("UPDATE modern_notes SET lines = '{other}'")

    first, second, other = (validate_json("--sample", "5", "--seed", seed)[1] for seed in ("1", "1", "2"))

    titles = [{each["title"] for each in data["differences"]} for data in (first, second, other)]
    assert titles[0] == titles[1] != titles[2]


@pytest.mark.parametrize("size", ["0", "-3"])
def test_a_sample_of_nothing_is_bad_usage(notes: AnyMigration, size: str) -> None:
    assert validate_json(f"--sample={size}")[0] == 2
    assert not Run.objects.exists()


def test_a_sample_of_a_store_that_shows_nothing_is_incomplete(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(5)
    copy_over(notes)
    monkeypatch.setattr(type(notes.legacy()), "sample", lambda self, size, seed, limit, after: Page())

    code, data = validate_json("--sample", "5")

    assert (code, data["complete"], data["power"]) == (1, False, None)


@pytest.mark.parametrize("many", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_of_a_sample_does_not_grow_with_its_size(notes: AnyMigration, many: int) -> None:
    run(
        "INSERT INTO legacy_notes (notebook, title, body)"
        " SELECT 'book' || n, 'title', repeat('x', 200) FROM generate_series(1, %s) AS n",
        many,
    )
    run("INSERT INTO modern_notes (notebook, title, lines) SELECT notebook, title, ARRAY[body] FROM legacy_notes")
    run("ANALYZE legacy_notes, modern_notes")
    grown = []
    for size in (1_000, many):
        measured = run_measured("validate_migration", "--sample", str(size), domain="notes")
        assert (measured.exit_code, measured.said["complete"], measured.said["matched"]) == (0, True, size)
        grown.append(measured.growth)
    assert grown[1] - grown[0] < 5
