"""A source that can be read at first and not any more later, e.g. a file that is just being written anew."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import pytest

from migration_ops.backfill import service
from migration_ops.backfill.service import Request
from migration_ops.definition import AnyMigration, Page, Span
from migration_ops.exceptions import Refused, UnusableInput
from migration_ops.models import Run
from tests.engine.invariants import assert_in_step
from tests.engine.syncing import begin_dual_write, run
from tests.notes import schema
from tests.notes.note import Note, NoteKey
from tests.notes.stores import LegacyNotes


class BreakingNotes(LegacyNotes):
    """Can be read up to this row."""

    readable = 0

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[NoteKey]], None] | None = None
    ) -> Page[NoteKey, Note]:
        if int(span.after or 0) >= self.readable:
            raise UnusableInput("The file is empty.")
        return super().scan(span, limit, claim=claim)


def backfill(migration: AnyMigration) -> str:
    service.start(migration, Request(actor="the test", batch_size=2))
    return Run.objects.latest("id").status


def test_a_run_that_has_read_something_goes_on_when_the_source_is_there_again(
    notes: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_dual_write(notes)
    ids = schema.add_rows(*(("a", f"t{n}", "x") for n in range(6)))
    monkeypatch.setattr(BreakingNotes, "readable", ids[2])
    with pytest.raises(UnusableInput):
        backfill(replace(notes, legacy=BreakingNotes))
    stopped = Run.objects.get()
    assert stopped.status == "failed"
    assert backfill(notes) == "succeeded"
    assert Run.objects.get() == stopped
    assert_in_step()


def test_a_run_that_could_read_nothing_is_not_kept(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    schema.add_rows(("a", "t", "x"))
    with pytest.raises(UnusableInput):
        backfill(replace(notes, legacy=BreakingNotes))
    assert Run.objects.get().status == "cancelled"


def test_an_empty_legacy_store_deletes_nothing_of_what_was_migrated(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    schema.add_rows(("a", "t", "x"))
    assert backfill(notes) == "succeeded"
    before = schema.modern_rows()
    run("ALTER TABLE legacy_notes DISABLE TRIGGER USER")
    run("DELETE FROM legacy_notes")
    with pytest.raises(Refused, match="The legacy store is empty, but 1 of its rows"):
        backfill(notes)
    assert schema.modern_rows() == before != []
