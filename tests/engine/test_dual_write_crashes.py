"""A user's write that is killed anywhere is made in both stores or in none, and what was acknowledged stays."""

from __future__ import annotations

import signal

import pytest

from migration_ops import failpoints
from migration_ops.definition import AnyMigration
from migration_ops.models import DirtyKey
from migration_ops.sync import capture, dual_write, follower
from migration_ops.sync.dual_write import Outcome, writing
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, command, go_to_ramp, run
from tests.killed import run_until
from tests.notes.note import Note, NoteKey
from tests.notes.schema import add_rows, modern_rows

BEFORE = ("home", "milk", ["two pints"])
AFTER = {
    "changed": [("home", "milk", ["one pint", "and cream"])],
    "deleted": [],
    "created": [("home", "bread", ["a loaf"]), BEFORE],
}
ARGUMENTS = {
    "changed": ("home", "milk", "one pint", "and cream"),
    "deleted": ("home", "milk"),
    "created": ("home", "bread", "a loaf"),
}
IN_THE_TRANSACTION = (dual_write.AUTHORITY_SAVED, follower.FOLLOWED)


def write(migration: AnyMigration, notebook: str, title: str, *lines: str) -> Outcome:
    """One write as the app makes it; without lines the note goes."""
    with writing(migration, NoteKey(notebook, title)) as draft:
        draft.document = Note(draft.key, tuple(lines)) if lines else None
    return draft.outcome


def killed(failpoint: str, migration: AnyMigration, *arguments: str) -> bool:
    """Whether such a write in a process of its own was killed at this failpoint."""
    return run_until(failpoint, lambda: write(migration, *arguments)) == -signal.SIGKILL


@pytest.fixture(params=["dual_write", "ramp"])
def authority(request: pytest.FixtureRequest, notes: AnyMigration) -> AnyMigration:
    """Legacy has the word at `dual_write`, modern at `ramp` for all."""
    begin_dual_write(notes)
    add_rows(("home", "milk", "two pints"))
    assert command("sync_changes")[0] == 0
    if request.param == "ramp":
        go_to_ramp(notes, percent=100)
    return notes


def test_every_failpoint_of_dual_writing_is_tried() -> None:
    ours = {label for label in failpoints.LABELS if label.startswith("dual_write.")}
    only_without_transaction = {dual_write.AUTHORITY_NOTED}  # tests/acceptance tries it with the legacy file
    assert ours == {*IN_THE_TRANSACTION, dual_write.COMMITTED} | only_without_transaction


@pytest.mark.parametrize("how", ARGUMENTS)
@pytest.mark.parametrize("failpoint", IN_THE_TRANSACTION)
def test_killed_before_the_commit_nothing_was_written_anywhere(
    authority: AnyMigration, how: str, failpoint: str
) -> None:
    assert killed(failpoint, authority, *ARGUMENTS[how])
    assert modern_rows() == [BEFORE]
    assert command("sync_changes")[0] == 0
    assert modern_rows() == [BEFORE]
    assert_in_step()
    assert not DirtyKey.objects.exists()


@pytest.mark.parametrize("how", ARGUMENTS)
def test_killed_after_the_commit_and_before_the_answer_it_is_in_both_stores(authority: AnyMigration, how: str) -> None:
    assert killed(dual_write.COMMITTED, authority, *ARGUMENTS[how])
    assert modern_rows() == AFTER[how]
    assert_in_step()
    assert command("sync_changes")[0] == 0
    assert modern_rows() == AFTER[how]
    assert_in_step()


@pytest.mark.parametrize("how", ARGUMENTS)
def test_run_again_after_any_kill_it_does_what_it_should_have(authority: AnyMigration, how: str) -> None:
    for failpoint in IN_THE_TRANSACTION:
        assert killed(failpoint, authority, *ARGUMENTS[how])
    assert write(authority, *ARGUMENTS[how]) is Outcome.BOTH
    assert modern_rows() == AFTER[how]
    assert_in_step()


def test_killed_after_a_commit_whose_follower_had_failed_the_key_is_still_dirty(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    run("ALTER TABLE modern_notes ADD CONSTRAINT no_milk CHECK (title <> 'milk')")
    assert killed(dual_write.COMMITTED, notes, "home", "milk", "two pints")
    assert modern_rows() == []
    assert DirtyKey.objects.get().key == notes.encode_key(NoteKey("home", "milk"))
    run("ALTER TABLE modern_notes DROP CONSTRAINT no_milk")
    assert command("sync_changes")[0] == 0
    assert modern_rows() == [BEFORE]
    assert_in_step()


def test_a_killed_write_is_not_taken_for_a_change_past_the_app(authority: AnyMigration) -> None:
    """The announcement that keeps capture silent ends with the transaction, however that ends."""
    assert killed(follower.FOLLOWED, authority, *ARGUMENTS["changed"])
    assert not DirtyKey.objects.exists()
    run("UPDATE legacy_notes SET body = 'three pints'")
    assert DirtyKey.objects.count() == 1
    assert capture.status(authority).intact
