"""Drift is looked for when somebody asks, and one migration's trouble is not that of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from migration_ops import jobs, registry, scheduler
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused, SelectionChanged
from migration_ops.models import HistoryEntry, Periodic, Run, RunKind
from migration_ops.verify import look_now
from migration_ops.verify.drift import detect
from tests.engine.background import Background
from tests.engine.differing import backfilled, damage
from tests.engine.staff import address, confirm_rows, member, text
from tests.engine.syncing import begin_dual_write, run
from tests.notes.stores import LegacyNotes


@pytest.fixture
def damaged(notes: AnyMigration, settings: Any) -> AnyMigration:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 2}
    damage(notes)
    backfilled(notes)
    return notes


class Broken(LegacyNotes):
    """A legacy store that cannot even be opened."""

    def __init__(self) -> None:
        raise LookupError("no such disk")


@pytest.fixture
def trouble(damaged: AnyMigration) -> Iterator[AnyMigration]:
    """A migration whose turn is first, and that cannot be compared."""
    broken: AnyMigration = replace(damaged, name="broken", legacy=Broken)
    run("ALTER TABLE migration_ops_migrationstate DISABLE TRIGGER USER")
    run(
        "INSERT INTO migration_ops_migrationstate (name, stage, capture_since)"
        " SELECT 'broken', stage, capture_since FROM migration_ops_migrationstate WHERE name = 'notes'"
    )
    backfilled(broken)
    registry.register(broken)
    yield broken
    registry.unregister(broken.name)


def test_one_migration_in_trouble_does_not_keep_the_job_from_the_others(trouble: AnyMigration) -> None:
    before = Run.objects.filter(kind=RunKind.DRIFT, migration="notes").count()
    with pytest.raises(ExceptionGroup) as raised:
        jobs.detect_drift()
    assert [(str(each), each.__notes__) for each in raised.value.exceptions] == [
        ("no such disk", ["This was about the migration broken."])
    ]
    assert Run.objects.filter(kind=RunKind.DRIFT, migration="notes").count() == before + 1


def test_whoever_asks_has_a_worker_look_at_the_scheduler_s_next_round(
    damaged: AnyMigration, in_background: Background
) -> None:
    scheduler.tick()
    in_background.client().flushall()
    assert "detect_drift" not in scheduler.tick().queued
    client = member("operators", "ko")
    page = text(client.get(address(damaged, "differences")))
    assert "지금 어긋남 점검하기" in page
    looked = text(client.post(address(damaged, "drift-look")))
    assert "점검하게 합니다" in looked
    assert confirm_rows(client, damaged, "drift-look", reason="after the import").status_code == 302
    entry = HistoryEntry.objects.get(verb="look for drift")
    assert (entry.actor, entry.reason) == ("admin: operators@example.org", "after the import")
    again = text(client.post(address(damaged, "drift-look")))
    assert ("이미 때가 되어" in again, 'id="confirm"' in again) == (True, False)
    assert "detect_drift" in scheduler.tick().queued
    assert "migration_ops.jobs.detect_drift" in [job.func_name for job in in_background.jobs()]


def test_what_is_due_already_is_asked_for_once(damaged: AnyMigration) -> None:
    for _ in range(2):
        look_now.ask(damaged, actor="ann")
    due = Periodic.objects.get(name="detect_drift").due_at
    look_now.ask(damaged, actor="ann")
    assert Periodic.objects.get(name="detect_drift").due_at == due
    assert HistoryEntry.objects.filter(verb="look for drift").count() == 1


def test_who_was_faster_is_not_followed_by_the_same_again(damaged: AnyMigration) -> None:
    seen = look_now.prospect(damaged).seen
    detect(damaged, actor="somebody")
    with pytest.raises(SelectionChanged):
        look_now.ask(damaged, actor="ann", seen=seen)
    assert not Periodic.objects.filter(name="detect_drift").exists()


def test_before_there_is_anything_to_compare_nobody_is_asked(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    with pytest.raises(Refused, match="once a backfill"):
        look_now.ask(notes, actor="ann")
    answer = member("operators").post(address(notes, "drift-look"))
    assert (answer.status_code, "once a backfill" in text(answer)) == (409, True)
    assert member("viewers").post(address(notes, "drift-look")).status_code == 403
