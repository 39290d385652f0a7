"""Capture without triggers: a legacy store that only says that it changed is compared row by row."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from migration_ops.definition import AnyMigration, Batch, CapturedTable, RowLink
from migration_ops.exceptions import Refused
from migration_ops.models import DirtyKey, PolledVersion
from migration_ops.sync import capture, polling
from migration_ops.sync.applier import drain
from tests.database import database_url
from tests.engine.conftest import ROOT
from tests.engine.syncing import begin_dual_write, noted, rows, run
from tests.notes import schema
from tests.notes.note import Note, NoteKey
from tests.notes.stores import LegacyNotes


class PolledNotes(LegacyNotes):
    """The legacy notes as if nobody could put a trigger on them."""

    captured_tables: Sequence[CapturedTable] = ()

    def version(self) -> str | None:
        ((version,),) = rows("SELECT md5(coalesce(string_agg(n::text, ',' ORDER BY id), '')) FROM legacy_notes AS n")
        return str(version)

    def load(self, keys: Collection[NoteKey], *, lock: bool = False) -> Batch[NoteKey, Note]:
        batch = super().load(keys, lock=lock)
        known = dict(self.fingerprints())
        batch.links = [RowLink(link.row, link.key, known[link.row]) for link in batch.links]
        return batch


@pytest.fixture
def polled(notes: AnyMigration) -> AnyMigration:
    schema.add_rows(("a", "before", "x"))
    migration = replace(notes, legacy=PolledNotes)
    begin_dual_write(migration)
    return migration


def test_what_was_there_before_is_the_backfill_s_business(polled: AnyMigration) -> None:
    assert polling.poll(polled) == 0
    assert noted() == []
    assert capture.status(polled).intact


def test_new_changed_and_vanished_rows_are_carried_over(polled: AnyMigration) -> None:
    first, second, third = schema.add_rows(("a", "t", "x"), ("b", "u", "y"), ("c", "v", None))
    assert drain(polled).applied == 4
    run("UPDATE legacy_notes SET body = 'z' WHERE id = %s", first)
    run("DELETE FROM legacy_notes WHERE id = %s", second)
    (fourth,) = schema.add_rows(("d", "w", "new"))
    assert polling.poll(polled) == 3
    assert sorted(noted(), key=int) == [str(first), str(second), str(fourth)]
    drain(polled)
    assert [row[0:2] for row in schema.modern_rows()] == [("a", "before"), ("a", "t"), ("d", "w")]
    assert str(third) not in noted()


def test_an_unchanged_version_costs_nothing_and_the_applier_s_own_writes_find_nothing(polled: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    assert drain(polled).applied == 2
    assert PolledVersion.objects.get().version == PolledNotes().version()
    assert polling.poll(polled) == 0
    run("UPDATE legacy_notes SET body = body || 'y'")
    run("UPDATE legacy_notes SET body = 'x'")
    assert polling.poll(polled) == 0


def test_a_store_with_triggers_is_not_polled(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    schema.add_rows(("a", "t", "x"))
    assert polling.poll(notes) == 0
    assert not PolledVersion.objects.exists()


def test_before_capture_began_nothing_is_polled_and_the_status_says_so(notes: AnyMigration) -> None:
    migration = replace(notes, legacy=PolledNotes)
    schema.add_rows(("a", "t", "x"))
    assert polling.poll(migration) == 0
    assert capture.status(migration).gaps == ("Nothing is polled yet: no version of the store was noted.",)
    assert capture.install(migration) is True
    assert capture.install(migration) is False
    capture.remove(migration)
    assert not PolledVersion.objects.exists()


def test_killed_between_marking_and_moving_on_it_all_is_found_again(polled: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    noted_version = PolledVersion.objects.get().version
    script = (
        "import django; django.setup()\n"
        "from dataclasses import replace\n"
        "from migration_ops.sync import polling\n"
        "from tests.notes.migration import notes\n"
        "from tests.engine.test_polling import PolledNotes\n"
        "polling.poll(replace(notes, legacy=PolledNotes))\n"
    )
    killed = python(script, failpoint="polling.marked")
    assert killed.returncode == -9, killed.stderr
    assert PolledVersion.objects.get().version == noted_version
    assert not DirtyKey.objects.exists()
    assert drain(polled).applied == 2
    assert len(schema.modern_rows()) == 2


def python(script: str, *, failpoint: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": database_url(),
            "MIGRATION_OPS_FAILPOINT": failpoint,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_store_that_is_empty_all_at_once_is_not_believed(polled: AnyMigration) -> None:
    """As when a failed export is written over the file: putting it back must be enough."""
    schema.add_rows(*[("a", f"t{number}", "x") for number in range(11)])
    drain(polled)
    everything = schema.modern_rows()
    kept = rows("SELECT * FROM legacy_notes")
    run("DELETE FROM legacy_notes")
    with pytest.raises(Refused, match="12 of its rows were migrated before; nothing was deleted"):
        drain(polled)
    assert schema.modern_rows() == everything
    for row in kept:
        run("INSERT INTO legacy_notes VALUES (%s, %s, %s, %s)", *row)
    drain(polled)
    assert schema.modern_rows() == everything


def test_the_last_few_rows_may_go(polled: AnyMigration) -> None:
    schema.add_rows(("a", "t", "x"))
    drain(polled)
    run("DELETE FROM legacy_notes")
    drain(polled)
    assert schema.modern_rows() == []
