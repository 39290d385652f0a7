"""Gates of rates, on planted counts: too little proves nothing, and only what is about the present counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from migration_ops import state, transitions
from migration_ops.definition import AnyMigration
from migration_ops.gates import Verdict
from migration_ops.models import ReadDifference
from migration_ops.stages import Stage
from tests.engine.korean import found
from tests.engine.planting import count
from tests.engine.syncing import begin_dual_write, go_to_ramp, run

LONG_AGO = timedelta(hours=25)


@pytest.fixture
def synced(notes: AnyMigration) -> AnyMigration:
    begin_dual_write(notes)
    return notes


@pytest.fixture
def ramped(synced: AnyMigration) -> AnyMigration:
    go_to_ramp(synced, percent=5)
    return synced


def go(migration: AnyMigration, stage: str) -> None:
    """To this stage, past the services."""
    run(
        "UPDATE migration_ops_migrationstate SET stage = %s, version = version + 1 WHERE name = %s",
        stage,
        migration.name,
    )


@pytest.mark.parametrize(
    ("made", "failed", "verdict", "sentence"),
    [
        (
            0,
            0,
            Verdict.INCONCLUSIVE,
            "0 of 0 second writes of the last 24 h failed;"
            " 2,995, all good, are needed to say that fewer than 0.1 % do.",
        ),
        (
            1_204,
            0,
            Verdict.INCONCLUSIVE,
            "0 of 1,204 second writes of the last 24 h failed;"
            " 1,791 more, all good, are needed to say that fewer than 0.1 % do.",
        ),
        (
            2_995,
            0,
            Verdict.PASS,
            "0 of 2,995 second writes of the last 24 h failed: with 95 % confidence fewer than 0.1 % do.",
        ),
        (
            2_995,
            1,
            Verdict.INCONCLUSIVE,
            "1 of 2,996 second writes of the last 24 h failed;"
            " 1,746 more, all good, are needed to say that fewer than 0.1 % do.",
        ),
        (
            990,
            10,
            Verdict.FAIL,
            "10 of 1,000 second writes of the last 24 h failed: with 95 % confidence more than 0.1 % do."
            " The metric `write` says by SQLSTATE why.",
        ),
    ],
)
def test_the_sentence_says_what_was_found_and_what_is_missing(
    synced: AnyMigration, made: int, failed: int, verdict: Verdict, sentence: str
) -> None:
    if made:
        count(synced, "write", "both", made)
    if failed:
        count(synced, "write", "failed", failed)
    gate = found(synced, "dual_write_success")
    assert (gate.verdict, gate.message) == (verdict, sentence)
    assert (gate.k, gate.n, gate.threshold) == (failed, made + failed, 0.001)
    assert gate.clear is (verdict is Verdict.FAIL)


def test_a_gate_carries_its_evidence(synced: AnyMigration) -> None:
    count(synced, "write", "both", 1_999)
    count(synced, "write", "different", 1, ago=timedelta(minutes=90))
    gate = found(synced, "dual_write_success")
    assert (gate.value, gate.bound) == (0.0005, pytest.approx(0.00237, rel=0.01))
    assert gate.age is not None
    assert 240 < gate.age < 400


def test_what_was_not_attempted_neither_succeeded_nor_failed(synced: AnyMigration) -> None:
    for outcome in ("unchanged", "switched_off", "held", "one_store"):
        count(synced, "write", outcome, 10_000)
    assert found(synced, "dual_write_success").n == 0


def test_writes_of_the_day_before_prove_nothing(synced: AnyMigration) -> None:
    count(synced, "write", "both", 2_994)
    count(synced, "write", "both", 10_000, ago=LONG_AGO)
    assert found(synced, "dual_write_success").verdict is Verdict.INCONCLUSIVE
    count(synced, "write", "both", 1, ago=timedelta(hours=23))
    assert found(synced, "dual_write_success").verdict is Verdict.PASS


def test_another_migrations_writes_prove_nothing(synced: AnyMigration) -> None:
    count(synced, "write", "both", 2_995)
    run("UPDATE migration_ops_metric SET migration = 'boards'")
    assert found(synced, "dual_write_success").n == 0


@pytest.mark.parametrize(
    ("afterwards", "k", "n"),
    [
        ({}, 5_000, 5_000),
        ({"both": 5_000}, 0, 5_000),
        ({"both": 4_990, "failed": 10}, 10, 5_000),
        ({"both": 4_990}, 10, 5_000),
        ({"both": 4_000, "taken": 1_000}, 0, 4_000),
        ({"both": 6_000}, 0, 5_000),
    ],
)
def test_a_second_write_after_the_commit_counts_by_what_became_of_it(
    synced: AnyMigration, afterwards: dict[str, int], k: int, n: int
) -> None:
    count(synced, "write", "later", 5_000, side="modern")
    for outcome, times in afterwards.items():
        count(synced, "second_write", outcome, times)
    gate = found(synced, "dual_write_success")
    assert (gate.k, gate.n) == (k, n)


def test_the_threshold_is_a_setting(synced: AnyMigration, settings: Any) -> None:
    count(synced, "write", "both", 300)
    settings.MIGRATION_OPS = {"WRITE_FAILURE_RATE": 0.01, "READ_ERROR_RATE": 0.01}
    assert found(synced, "dual_write_success").verdict is Verdict.PASS
    count(synced, "shadow_read", "matched", 300, step=state.read(synced).step)
    assert found(synced, "shadow_reads_clean").verdict is Verdict.PASS


def test_shadow_reads_are_clean_when_enough_were_compared_and_match(synced: AnyMigration) -> None:
    go(synced, "shadow")
    step = state.read(synced).step
    count(synced, "shadow_read", "matched", 2_000, side="modern", step=step)
    gate = found(synced, "shadow_reads_clean")
    assert (gate.verdict, gate.message) == (
        Verdict.INCONCLUSIVE,
        "0 of 2,000 shadow reads of the last 24 h differed or failed; 995 more, all good, are needed to say that fewer"
        " than 0.1 % do.",
    )
    count(synced, "shadow_read", "ignored", 995, side="modern", step=step)
    assert found(synced, "shadow_reads_clean").n == 2_000
    count(synced, "shadow_read", "matched", 995, side="modern", step=step, ago=timedelta(hours=2))
    assert found(synced, "shadow_reads_clean").verdict is Verdict.PASS


def test_shadow_reads_that_could_not_be_made_are_a_rate(synced: AnyMigration) -> None:
    count(synced, "shadow_read", "matched", 4_741)
    count(synced, "shadow_read", "error", 1)
    gate = found(synced, "shadow_reads_clean")
    assert (gate.verdict, gate.k, gate.n) == (Verdict.PASS, 1, 4_742)
    count(synced, "shadow_read", "error", 30, ago=timedelta(minutes=9))
    gate = found(synced, "shadow_reads_clean")
    assert (gate.verdict, gate.clear) == (Verdict.FAIL, True)


def test_one_difference_among_a_million_shadow_reads_closes_the_gate_and_is_named(synced: AnyMigration) -> None:
    count(synced, "shadow_read", "matched", 1_000_000)
    count(synced, "shadow_read", "mismatched", 1)
    ReadDifference.objects.create(migration="notes", key='["home", "milk"]', step=1)
    gate = found(synced, "shadow_reads_clean", quoting='["home", "milk"]')
    assert (gate.verdict, gate.clear, gate.k, gate.threshold) == (Verdict.FAIL, True, 1, 0)
    assert gate.message == (
        "1 of 1,000,001 shadow reads of the last 24 h differed, also when both stores were asked again; none may:"
        ' ["home", "milk"]. Compare the notes and mend them; what was read before counts no more after'
        " `manage.py stage back --to dual_write`."
    )


def test_a_difference_counts_before_the_process_that_found_it_tells_its_counts(synced: AnyMigration) -> None:
    ReadDifference.objects.create(migration="notes", key="k", step=1)
    assert found(synced, "shadow_reads_clean", quoting=": k.").message.startswith("1 of 1 shadow reads")
    count(synced, "shadow_read", "matched", 5_000)
    assert found(synced, "shadow_reads_clean", quoting=": k.").verdict is Verdict.FAIL
    ReadDifference.objects.update(last_seen=Now() - LONG_AGO)
    assert found(synced, "shadow_reads_clean").verdict is Verdict.PASS
    ReadDifference.objects.update(last_seen=Now(), migration="boards")
    assert found(synced, "shadow_reads_clean").verdict is Verdict.PASS


def test_what_was_read_before_shadow_began_counts_no_more(synced: AnyMigration) -> None:
    go(synced, "shadow")
    first = state.read(synced).step
    count(synced, "shadow_read", "mismatched", 1, step=first)
    ReadDifference.objects.create(migration="notes", key="k", step=first)
    count(synced, "shadow_read", "matched", 5_000, step=first)
    go(synced, "ramp")
    assert found(synced, "shadow_reads_clean", quoting=": k.").verdict is Verdict.FAIL
    transitions.back(synced, Stage.DUAL_WRITE, actor="ann")
    go(synced, "shadow")
    gate = found(synced, "shadow_reads_clean")
    assert (gate.verdict, gate.n) == (Verdict.INCONCLUSIVE, 0)
    count(synced, "shadow_read", "matched", 2_995, step=state.read(synced).step)
    go(synced, "ramp")
    assert found(synced, "shadow_reads_clean").verdict is Verdict.PASS


def test_modern_reads_are_counted_wherever_modern_was_read(ramped: AnyMigration) -> None:
    step = state.read(ramped).step
    count(ramped, "read", "ok", 1_995, side="modern", step=step)
    count(ramped, "shadow_read", "matched", 1_000, side="modern", step=step)
    count(ramped, "shadow_read", "ignored", 1_000, side="modern", step=step)
    count(ramped, "shadow_read", "matched", 1_000, side="legacy", step=step)
    gate = found(ramped, "read_errors")
    assert (gate.verdict, gate.k, gate.n) == (Verdict.PASS, 0, 2_995)
    assert gate.message == ("0 of 2,995 modern reads at this step failed: with 95 % confidence fewer than 0.1 % do.")


@pytest.mark.parametrize(
    ("what", "outcome"), [("read", "error"), ("read", "fallback"), ("read", "spared"), ("shadow_read", "error")]
)
def test_a_modern_read_that_failed_counts_whoever_answered_instead(
    ramped: AnyMigration, what: str, outcome: str
) -> None:
    step = state.read(ramped).step
    count(ramped, "read", "ok", 900, side="modern", step=step)
    count(ramped, what, outcome, 20, side="modern", step=step)
    gate = found(ramped, "read_errors")
    assert (gate.verdict, gate.k, gate.n, gate.clear) == (Verdict.FAIL, 20, 920, True)


def test_a_difference_is_no_error_of_modern_reads(ramped: AnyMigration) -> None:
    step = state.read(ramped).step
    count(ramped, "shadow_read", "mismatched", 3_000, side="modern", step=step)
    assert found(ramped, "read_errors").verdict is Verdict.PASS


def test_reads_at_an_older_step_prove_nothing_about_this_one(ramped: AnyMigration) -> None:
    step = state.read(ramped).step
    count(ramped, "read", "ok", 100_000, side="modern", step=step - 1)
    count(ramped, "read", "error", 50, side="modern", step=step - 1)
    count(ramped, "read", "ok", 10, side="modern", step=step)
    gate = found(ramped, "read_errors")
    assert (gate.verdict, gate.k, gate.n) == (Verdict.INCONCLUSIVE, 0, 10)


def test_a_raise_of_the_percentage_begins_a_step_of_its_own(ramped: AnyMigration) -> None:
    count(ramped, "read", "ok", 5_000, side="modern", step=state.read(ramped).step)
    assert found(ramped, "read_errors").verdict is Verdict.PASS
    run("UPDATE migration_ops_migrationstate SET percent = 20, version = version + 1 WHERE name = 'notes'")
    assert found(ramped, "read_errors").n == 0


@pytest.mark.parametrize(
    ("legacy_failed", "verdict", "clear"),
    [(0, Verdict.FAIL, True), (8, Verdict.PASS, False)],
)
def test_modern_may_not_fail_more_often_than_legacy_although_it_fails_rarely(
    ramped: AnyMigration, legacy_failed: int, verdict: Verdict, clear: bool
) -> None:
    step = state.read(ramped).step
    count(ramped, "read", "ok", 19_992, side="modern", step=step)
    count(ramped, "read", "fallback", 8, side="modern", step=step)
    assert found(ramped, "read_errors").verdict is Verdict.PASS
    count(ramped, "read", "ok", 100_000 - legacy_failed, side="legacy", step=step)
    if legacy_failed:
        count(ramped, "read", "error", legacy_failed * 5, side="legacy", step=step)
    gate = found(ramped, "read_errors")
    assert (gate.verdict, gate.clear) == (verdict, clear)
    if verdict is Verdict.FAIL:
        assert "8 of 20,000 modern reads at this step failed, and 0 of 100,000 legacy ones" in gate.message
