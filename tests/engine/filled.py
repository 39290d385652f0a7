"""The tiny domain in a database that is not the tests'."""

from __future__ import annotations

from tests.engine.backfilling import fill
from tests.engine.syncing import begin_dual_write
from tests.notes import schema
from tests.notes.migration import notes


def fill_and_begin(count: int) -> None:
    """Its tables with so many rows, at stage `dual_write`."""
    schema.create_tables()
    fill(count)
    begin_dual_write(notes)
