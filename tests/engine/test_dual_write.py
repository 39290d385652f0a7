"""Dual write: a change reaches both stores in one commit, or the second one later, for certain."""

from __future__ import annotations

import pytest
from django.db import connection

from migration_ops import transitions
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import BeforeImage, DirtyKey, Metric, QuarantineItem
from migration_ops.observe import metrics
from migration_ops.observe.measures import What
from migration_ops.rollout.routing import Reason
from migration_ops.stages import Stage
from migration_ops.sync import applier
from migration_ops.sync.dual_write import Outcome, writing
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, go_to_ramp, run, second_connection
from tests.notes.note import Note, NoteKey
from tests.notes.schema import add_rows, modern_rows

KEY = NoteKey("home", "milk")


def write(migration: AnyMigration, *lines: str, key: NoteKey = KEY) -> Outcome:
    with writing(migration, key) as draft:
        draft.document = Note(key, lines) if lines else None
    return draft.outcome


def legacy_lines(key: NoteKey = KEY) -> list[str | None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM legacy_notes WHERE notebook = %s AND title = %s ORDER BY id DESC", list(key))
        return [body for (body,) in cursor.fetchall()]


def test_a_change_is_in_both_stores_with_one_commit(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    assert write(notes, "two pints") is Outcome.BOTH
    assert legacy_lines() == ["two pints"]
    assert modern_rows() == [("home", "milk", ["two pints"])]
    assert not DirtyKey.objects.exists()
    assert_in_step()


def test_what_the_block_raises_undoes_everything(notes: AnyMigration) -> None:
    begin_dual_write(notes)

    def give_up() -> None:
        with writing(notes, KEY) as draft:
            draft.document = Note(KEY, ("two pints",))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up()
    assert legacy_lines() == [] == modern_rows()


def test_at_off_only_legacy_is_written(notes: AnyMigration) -> None:
    assert write(notes, "two pints") is Outcome.ONE_STORE
    assert legacy_lines() == ["two pints"]
    assert modern_rows() == []


def test_a_document_left_as_it_was_is_not_written(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    add_rows(("home", "milk", "two pints"))
    with writing(notes, KEY) as draft:
        assert draft.document == Note(KEY, ("two pints",))
    assert draft.outcome is Outcome.UNCHANGED
    assert modern_rows() == []


def test_a_failing_follower_leaves_a_dirty_key_and_the_users_write(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    run("ALTER TABLE modern_notes ADD CONSTRAINT no_milk CHECK (title <> 'milk')")
    assert write(notes, "two pints") is Outcome.FAILED
    assert legacy_lines() == ["two pints"]
    assert list(DirtyKey.objects.values_list("side", "key")) == [("legacy", notes.encode_key(KEY))]
    run("ALTER TABLE modern_notes DROP CONSTRAINT no_milk")
    applier.drain(notes)
    assert_in_step()
    assert not DirtyKey.objects.exists()


def test_removing_a_document_removes_it_on_both_sides(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    write(notes, "two pints")
    assert write(notes) is Outcome.BOTH
    assert legacy_lines() == [] == modern_rows()
    assert_in_step()


def test_a_change_that_waits_and_cannot_be_brought_over_first_is_logged_and_counted(
    notes: AnyMigration, caplog: pytest.LogCaptureFixture
) -> None:
    begin_dual_write(notes)
    write(notes, "two pints")
    go_to_ramp(notes, percent=100)
    run("ALTER TABLE modern_notes ADD CONSTRAINT no_three CHECK (NOT 'three pints' = ANY (lines))")
    run("UPDATE legacy_notes SET body = 'three pints'")
    with writing(notes, KEY) as draft:
        assert (draft.decision.side, draft.decision.reason) == (Side.LEGACY, Reason.DIRTY)
        draft.document = Note(KEY, ("two pints", "and cream"))
    assert draft.outcome is Outcome.BOTH
    assert "in the legacy store of notes could not be carried over" in caplog.text
    assert "23514" in caplog.text
    assert "pints" not in caplog.text
    assert metrics.flush()
    counted = Metric.objects.filter(migration=notes.name, name=What.CARRIED_FIRST)
    assert list(counted.values_list("side", "outcome", "sqlstate", "count")) == [("legacy", "failed", "23514", 1)]
    assert_in_step()


def test_a_change_past_the_app_that_waits_is_not_written_over(notes: AnyMigration) -> None:
    """Legacy is changed by SQL while modern has the word: the next write begins with that change."""
    begin_dual_write(notes)
    write(notes, "two pints")
    go_to_ramp(notes, percent=100)
    run("UPDATE legacy_notes SET body = 'three pints'")
    with writing(notes, KEY) as draft:
        assert draft.decision.side is Side.MODERN
        draft.document = Note(KEY, (*draft.document.lines, "and cream"))
    assert draft.outcome is Outcome.BOTH
    assert modern_rows() == [("home", "milk", ["three pints", "and cream"])]
    applier.drain(notes)
    assert_in_step()


def test_a_held_document_is_written_to_legacy_alone_and_its_rejected_row_stays(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    add_rows(("home", "milk", "two pints"), ("home", "milk", None))
    applier.drain(notes)
    assert QuarantineItem.objects.count() == 2
    with writing(notes, KEY) as draft:
        assert draft.decision.reason is Reason.QUARANTINED
        assert draft.document == Note(KEY, ("two pints",))
        draft.document = Note(KEY, ("one pint",))
    assert draft.outcome is Outcome.HELD
    assert sorted(map(str, legacy_lines())) == ["None", "one pint"]
    assert modern_rows() == []
    assert_in_step()


def test_the_way_back_from_ramp_loses_nothing_that_was_written_to_modern_past_the_app(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    write(notes, "two pints")
    go_to_ramp(notes, percent=100)
    run("UPDATE modern_notes SET lines = ARRAY['one pint']")
    transitions.back(notes, Stage.SHADOW, actor="test")
    applier.drain(notes)
    assert legacy_lines() == ["one pint"]
    assert_in_step()


def test_what_sql_changed_in_the_follower_at_the_last_moment_is_kept(notes: AnyMigration) -> None:
    """After the document was loaded and before it is written, somebody changes the other store past the app."""
    begin_dual_write(notes)
    write(notes, "two pints")
    go_to_ramp(notes, percent=100)
    with writing(notes, KEY) as draft:
        draft.document = Note(KEY, ("one pint",))
        with second_connection() as other:
            other.execute("UPDATE legacy_notes SET body = 'cream'")
    assert draft.outcome is Outcome.BOTH
    assert modern_rows() == [("home", "milk", ["one pint"])]
    assert legacy_lines() == ["one pint"]
    images = BeforeImage.objects.filter(cause="conflict")
    assert [(image.side, image.image["lines"]) for image in images] == [("legacy", ["cream"])]
    applier.drain(notes)
    assert_in_step()
