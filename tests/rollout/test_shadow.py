"""Shadow reads: both stores are asked, what differs is found and kept without what it says, and nobody waits for it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from migration_ops import state
from migration_ops.definition import AnyMigration
from migration_ops.models import Metric, QuarantineItem, ReadDifference
from migration_ops.observe import metrics
from migration_ops.rollout import reading, routing, shadow
from migration_ops.stages import Stage
from migration_ops.state import State
from migration_ops.sync import applier
from migration_ops.sync.dual_write import writing
from tests.engine.syncing import run
from tests.notes.note import Note, NoteKey
from tests.notes.stores import ModernNotes

PEAS = NoteKey("garden", "peas")


@pytest.fixture
def compared(shadow: AnyMigration, settings: Any) -> AnyMigration:
    """At stage `shadow`, every read compared."""
    settings.MIGRATION_OPS = {
        "SHADOW_READ_PERCENT": 100,
        "SHADOW_READS_AT_ONCE": 8,
        "SHADOW_READ_PATIENCE": timedelta(seconds=5),
    }
    run("UPDATE migration_ops_migrationstate SET stage = 'shadow', version = version + 1")
    metrics._counter.take()
    Metric.objects.all().delete()  # what earlier tests left to be written may have been written by now
    return shadow


def counted(name: str = "shadow_read") -> Counter[tuple[str, str]]:
    """Outcomes and rules, or errors."""
    metrics.flush()
    found: Counter[tuple[str, str]] = Counter()
    for outcome, rule, count in Metric.objects.filter(name=name).values_list("outcome", "sqlstate", "count"):
        found[outcome, rule] += count
    return found


def change_modern_unseen() -> None:
    run("UPDATE modern_notes SET lines = '{\"stolen secret\"}' WHERE title = 'peas'")


def test_what_is_equal_matches_and_both_stores_are_timed(compared: AnyMigration) -> None:
    assert reading.document(compared, PEAS).documents[PEAS].lines == ("sow",)
    reading.document(compared, PEAS)
    assert counted() == {("matched", ""): 2}
    pairs = Metric.objects.filter(name="paired_read").values_list("side", "count", "step")
    assert sorted(pairs) == [("legacy", 2, state.read(compared).step), ("modern", 2, state.read(compared).step)]


def test_a_difference_is_found_and_kept_without_what_it_says(compared: AnyMigration) -> None:
    change_modern_unseen()
    assert reading.document(compared, PEAS).documents[PEAS].lines == ("sow",)  # the family's answer
    reading.document(compared, PEAS)
    assert counted() == {("mismatched", ""): 2}
    kept = ReadDifference.objects.get()
    assert (kept.key, kept.count, kept.step) == ('["garden", "peas"]', 2, state.read(compared).step)
    assert "secret" not in str(kept.fields)
    assert "sow" not in str(kept.fields)
    assert kept.fields[0]["legacy"] != kept.fields[0]["modern"]


def test_equal_values_have_equal_masks_and_no_mask_tells_the_value() -> None:
    assert shadow.mask("green") == shadow.mask("green") != shadow.mask("grean")
    assert shadow.mask("green").startswith("str of 5 (")
    assert shadow.mask(None) == "nothing"


@pytest.mark.parametrize("table", ["modern_notes", "legacy_notes"])
def test_a_document_that_one_store_lacks_is_a_difference(compared: AnyMigration, table: str) -> None:
    with transaction.atomic():
        run("SELECT set_config('migration_ops.origin', 'test', true)")  # so that nobody hears of it
        run(f"DELETE FROM {table} WHERE title = 'peas'")
    reading.document(compared, PEAS)
    assert counted() == {("mismatched", ""): 1}


def test_what_waits_to_be_carried_over_is_ignored_by_name(compared: AnyMigration) -> None:
    run("UPDATE legacy_notes SET body = 'hoe' WHERE title = 'peas'")
    reading.document(compared, PEAS)
    assert counted() == {("ignored", "dirty"): 1}
    applier.drain(compared)
    reading.document(compared, PEAS)
    assert counted() == {("ignored", "dirty"): 1, ("matched", ""): 1}


def test_what_waits_for_a_person_is_ignored_by_name(compared: AnyMigration) -> None:
    QuarantineItem.objects.create(
        migration="notes",
        row="1",
        key='["garden", "peas"]',
        code="body_missing",
        message="-",
        found_at="2026-01-01T00:00Z",
    )
    reading.document(compared, PEAS)
    assert counted() == {("ignored", "quarantined"): 1}
    assert counted("paired_read") == {}  # nothing was read, so there is nothing to time


def test_a_store_that_fails_is_counted_and_the_family_has_its_answer(
    compared: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, name in ((DatabaseError("no"), "DatabaseError"), (ValueError("odd"), "ValueError")):

        def broken(self: Any, keys: Any, *, error: Exception = error, **_: Any) -> Any:
            raise error

        monkeypatch.setattr(ModernNotes, "load", broken)
        assert reading.document(compared, PEAS).documents[PEAS].lines == ("sow",)
        assert counted()["error", name] == 1
    assert not connection.in_atomic_block


def test_nobody_waits_for_longer_than_the_patience(compared: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SHADOW_READ_PERCENT": 100, "SHADOW_READ_PATIENCE": timedelta(milliseconds=50)}
    locked, done = threading.Event(), threading.Event()

    def lock() -> None:
        with transaction.atomic():
            run("LOCK TABLE modern_notes IN ACCESS EXCLUSIVE MODE")
            locked.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=lock)
    holder.start()
    assert locked.wait(20)
    try:
        assert reading.document(compared, PEAS).documents[PEAS].lines == ("sow",)
    finally:
        done.set()
        holder.join()
    assert counted() == {("error", "55P03"): 1}


@pytest.mark.parametrize("stage", ["off", "dual_write", "live"])
def test_at_other_stages_nothing_is_compared(compared: AnyMigration, stage: str) -> None:
    decision = routing.authority(compared, "garden", State("notes", Stage(stage)))
    shadow.look(compared, decision, lambda side: [PEAS])
    assert counted() == {}


def test_inside_a_transaction_nothing_is_compared(compared: AnyMigration) -> None:
    with transaction.atomic():
        reading.document(compared, PEAS)
    assert counted() == {}


def test_no_more_at_once_than_allowed(compared: AnyMigration, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MIGRATION_OPS = {"SHADOW_READ_PERCENT": 100, "SHADOW_READS_AT_ONCE": 1}
    monkeypatch.setattr(shadow, "_at_once", 1)
    reading.document(compared, PEAS)
    assert counted() == {}


def test_with_a_share_of_0_nothing_is_compared(compared: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SHADOW_READ_PERCENT": 0}
    for _ in range(20):
        reading.document(compared, PEAS)
    assert counted() == {}


def test_under_many_writes_there_is_no_false_alarm(compared: AnyMigration) -> None:
    ended = threading.Event()

    def write(number: int) -> None:
        while not ended.is_set():
            with writing(compared, PEAS) as draft:
                draft.document = Note(PEAS, (*draft.before.lines[-3:], f"line {number}"))
        connection.close()

    def past_the_app() -> None:
        while not ended.is_set():
            run("UPDATE legacy_notes SET body = body || '!' WHERE title = 'bread' AND length(body) < 500")
            applier.drain(compared)
        connection.close()

    jobs: list[Callable[[], None]] = [lambda: write(1), lambda: write(2), past_the_app]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        for _ in range(150):
            reading.document(compared, PEAS)
            reading.document(compared, NoteKey("kitchen", "bread"))
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    found = counted()
    assert {outcome for outcome, _ in found} <= {"matched", "ignored"}, found
    assert found["matched", ""] > 100
